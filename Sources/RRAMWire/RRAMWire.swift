// The sources of RRAMWire.
