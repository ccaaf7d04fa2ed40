// The sources of RRAMBoard.
