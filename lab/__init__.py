"""The KVM and container lab. Speaks HTTP and libvirt only; see lab/README.md."""
