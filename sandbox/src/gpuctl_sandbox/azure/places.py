"""The subscription, the regions and the resource providers of the sandbox."""

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
TENANT = "22222222-2222-4222-8222-222222222222"

# Name as ARM writes it, as people do.
REGIONS = dict(
    line.split(" ", 1)
    for line in """\
australiacentral Australia Central
australiacentral2 Australia Central 2
australiaeast Australia East
australiasoutheast Australia Southeast
brazilsouth Brazil South
canadacentral Canada Central
canadaeast Canada East
centralindia Central India
centralus Central US
chilecentral Chile Central
eastasia East Asia
eastus East US
eastus2 East US 2
francecentral France Central
francesouth France South
germanynorth Germany North
germanywestcentral Germany West Central
indonesiacentral Indonesia Central
israelcentral Israel Central
italynorth Italy North
japaneast Japan East
japanwest Japan West
jioindiacentral Jio India Central
jioindiawest Jio India West
koreacentral Korea Central
koreasouth Korea South
malaysiawest Malaysia West
mexicocentral Mexico Central
northcentralus North Central US
northeurope North Europe
norwayeast Norway East
norwaywest Norway West
polandcentral Poland Central
qatarcentral Qatar Central
southafricanorth South Africa North
southafricawest South Africa West
southcentralus South Central US
southeastasia Southeast Asia
southindia South India
spaincentral Spain Central
swedencentral Sweden Central
switzerlandnorth Switzerland North
switzerlandwest Switzerland West
uaecentral UAE Central
uaenorth UAE North
uksouth UK South
ukwest UK West
westcentralus West Central US
westeurope West Europe
westus West US
westus2 West US 2
westus3 West US 3""".splitlines()
)

COMPUTE = "Microsoft.Compute"
NETWORK = "Microsoft.Network"
LABS = "Microsoft.DevTestLab"
LOGIC = "Microsoft.Logic"
RESOURCES = "Microsoft.Resources"

# The oldest api-version in which each understands what is modelled here.
OLDEST = {
    RESOURCES: "2019-10-01",
    COMPUTE: "2021-03-01",
    NETWORK: "2020-11-01",
    LABS: "2018-09-15",
    LOGIC: "2019-05-01",
}

TYPES = {
    COMPUTE: ("virtualMachines", "disks", "locations/usages", "skus"),
    NETWORK: ("virtualNetworks", "networkSecurityGroups", "networkInterfaces", "publicIPAddresses"),
    LABS: ("schedules",),
    LOGIC: ("workflows",),
    RESOURCES: ("resourceGroups", "subscriptions"),
}
