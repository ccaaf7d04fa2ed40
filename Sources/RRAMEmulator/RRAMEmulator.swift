// The sources of RRAMEmulator.
