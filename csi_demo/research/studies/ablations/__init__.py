"""The paper's claims on small variants of CSI."""
