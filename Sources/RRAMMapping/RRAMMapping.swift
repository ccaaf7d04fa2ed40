// The sources of RRAMMapping.
