// The sources of RRAMSampling.
