import RRAMTransport
import Testing

@testable import RRAMUSB

@Suite struct USBErrorTests {
  /// Numbers as `libusb.h` has them.
  @Test(
    arguments: [
      (-1, TransportError.Code.io), (-3, .permission), (-4, .closed), (-5, .notFound), (-6, .busy), (-7, .timedOut),
      (-8, .protocolViolation), (-9, .refused), (-10, .cancelled), (-12, .io), (-99, .io),
    ] as [(Int32, TransportError.Code)])
  func aNumberHasOneMeaningAndIsKept(number: Int32, code: TransportError.Code) {
    let error = TransportError(libusb: number, "cannot claim interface 0", address: "usb:RR-0042")
    #expect(error.code == code)
    #expect(error.library?.name == "libusb")
    #expect(error.library?.number == number)
  }

  @Test func theSentenceSaysWhatFailedOnWhatAndWhy() {
    let error = TransportError(libusb: -6, "cannot claim interface 0", address: "usb:RR-0042")
    #expect("\(error)" == "usb:RR-0042: cannot claim interface 0: resource busy (libusb -6)")
  }
}
