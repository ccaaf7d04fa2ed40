// The sources of RRAMProfiles.
