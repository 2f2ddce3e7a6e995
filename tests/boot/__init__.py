"""The guard on a Debian that really boots: systemd, cloud-init, our user data and a metadata service at its address."""
