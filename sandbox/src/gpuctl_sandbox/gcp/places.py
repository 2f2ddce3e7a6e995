"""The project, the regions and the zones of the emulated cloud."""

PROJECT = "sandbox-project"
NUMBER = "123456789012"

# As https://cloud.google.com/compute/docs/regions-zones lists them; those without letters have the zones a, b and c.
_TABLE = """\
africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-central2 europe-north1 europe-north2
europe-southwest1 europe-west1:bcd europe-west2 europe-west3 europe-west4 europe-west6 europe-west8 europe-west9
europe-west10 europe-west12 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
northamerica-south1 southamerica-east1 southamerica-west1 us-central1:abcf us-east1:bcd us-east4 us-east5 us-south1
us-west1 us-west2 us-west3 us-west4"""
REGIONS = {
    region: [f"{region}-{letter}" for letter in letters or "abc"]
    for region, _, letters in (item.partition(":") for item in _TABLE.split())
}
ZONES = {zone: region for region, zones in REGIONS.items() for zone in zones}
