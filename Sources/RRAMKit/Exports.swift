// One import for users of the library: everything below, and the composition root.
@_exported public import HDPMBoard
@_exported public import RRAMBoard
@_exported public import RRAMCharacterization
@_exported public import RRAMConformance
@_exported public import RRAMEmulator
@_exported public import RRAMEmulatorUSB
@_exported public import RRAMFiles
@_exported public import RRAMMapping
@_exported public import RRAMModel
@_exported public import RRAMPhysics
@_exported public import RRAMProfiles
@_exported public import RRAMRecords
@_exported public import RRAMSampling
@_exported public import RRAMTransport
@_exported public import RRAMUSB
@_exported public import RRAMUnits
@_exported public import RRAMWire
