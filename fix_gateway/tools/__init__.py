"""FIX clients: they speak to the gateway over TCP, like everybody outside."""
