// The sources of RRAMKit.
