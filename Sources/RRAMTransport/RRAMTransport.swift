// The sources of RRAMTransport.
