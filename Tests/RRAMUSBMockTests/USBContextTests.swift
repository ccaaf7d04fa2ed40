import RRAMUSB
import Testing

extension MockedKernel {
  @Suite struct USBContextTests {
    @Test(.timeLimit(.minutes(1))) func boardsAreDescribedWithoutBeingOpened() async throws {
      let stranger = USBIdentity(
        vendorID: 0x1209, productID: 0x0001, manufacturer: "RRAM toolkit", product: "another device")
      let first = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      let second = MockBoard(serial: "RR-2", endpoint: MuteEndpoint(), bcdDevice: 0x1234)
      try await withBoards(first, MockBoard(serial: "X", endpoint: MuteEndpoint(), identity: stranger), second) {
        context in
        let devices = try context.devices()
        #expect(devices.map(\.serial) == ["RR-1", "RR-2"])
        #expect(devices.map(\.port) == ["1-\(first.port)", "1-\(second.port)"])
        #expect(devices.map(\.protocolLevel) == [1, 12])
        #expect(devices[1].bcdDevice == 0x1234)
        #expect(devices[0].product == "RRAM test board")
        #expect(devices[0].node?.hasPrefix("/dev/bus/usb/001/") == true)
        #expect(context.usage == USBContext.Usage(), "enumerating opens nothing and starts no thread")
      }
    }

    @Test(.timeLimit(.minutes(1))) func whoIsThereIsReportedFirstAndThenWhoComesAndGoes() async throws {
      let there = MockBoard(serial: "RR-3", endpoint: MuteEndpoint())
      let coming = MockBoard(serial: "RR-4", endpoint: MuteEndpoint())
      try await withBoards(there) { context in
        let changes = Changes(stream: try context.changes())
        #expect(context.usage.threads == 1)
        #expect(await changes.next() == "+RR-3")
        coming.plug()
        #expect(await changes.next() == "+RR-4")
        coming.unplug()
        #expect(await changes.next() == "-RR-4")
        // The same board again is another device to the kernel.
        coming.plug()
        #expect(await changes.next() == "+RR-4")
        coming.unplug()
        #expect(await changes.next() == "-RR-4")
      }
    }
  }
}
