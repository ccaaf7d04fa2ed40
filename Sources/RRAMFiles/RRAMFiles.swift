// The sources of RRAMFiles.
