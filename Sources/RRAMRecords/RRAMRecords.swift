// The sources of RRAMRecords.
