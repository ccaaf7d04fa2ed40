// The sources of RRAMPhysics.
