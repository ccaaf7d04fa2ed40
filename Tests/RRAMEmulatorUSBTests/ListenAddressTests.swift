import RRAMTransport
import Testing

@testable import RRAMEmulatorUSB

@Suite struct ListenAddressTests {
  @Test(arguments: [
    ("127.0.0.1:3240", "tcp:127.0.0.1:3240"), ("[::1]:1", "tcp:[::1]:1"), ("localhost:0", "tcp:localhost:0"),
  ])
  func hostAndPort(text: String, description: String) {
    #expect(ListenAddress(hostAndPort: text)?.description == description)
    #expect(ListenAddress("tcp:" + text)?.description == description)
    #expect(ListenAddress(hostAndPort: text)?.hostAndPort == text)
  }

  @Test(arguments: ["", "3240", ":3240", "::1:3240", "host:", "host:65536", "host:-1", "host:x", "[]:1"])
  func whatIsNoHostAndPort(text: String) {
    #expect(ListenAddress(hostAndPort: text) == nil)
  }

  @Test(arguments: ["", "unix:", "tcp:", "udp:host:1", "/run/x"]) func whatIsNoAddress(text: String) {
    #expect(ListenAddress(text) == nil)
  }

  @Test(arguments: [("127.0.0.1", true), ("0.0.0.0", false), ("::1", true), ("::", false)])
  func loopbackIsKnown(host: String, isLocal: Bool) throws {
    let listener: Listener
    do throws(TransportError) {
      listener = try Listener(.tcp(host: host, port: 0))
    } catch {
      // A machine without IPv6 has no such address.
      try #require(host.contains(":"))
      return
    }
    #expect(listener.isLocal == isLocal)
    #expect(listener.address != .tcp(host: host, port: 0), "the system chose a port")
  }

  @Test func aPortThatIsTakenIsBusy() throws {
    let first = try Listener(.tcp(host: "127.0.0.1", port: 0))
    let error = #expect(throws: TransportError.self) { _ = try Listener(first.address) }
    #expect(error?.code == .busy)
  }
}
