// The sources of RRAMModel.
