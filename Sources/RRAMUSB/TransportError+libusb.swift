internal import CLibUSB
package import RRAMTransport

extension TransportError {
  /// Maps a number of libusb, keeping it: the one place that knows what these numbers mean.
  ///
  /// - Parameters:
  ///   - number: a negative `LIBUSB_ERROR_…`.
  ///   - action: what failed, as one clause.
  package init(libusb number: Int32, _ action: String, address: String) {
    let code: Code =
      switch libusb_error(number) {
      case LIBUSB_ERROR_ACCESS: .permission
      case LIBUSB_ERROR_BUSY: .busy
      case LIBUSB_ERROR_TIMEOUT: .timedOut
      case LIBUSB_ERROR_NO_DEVICE: .closed
      case LIBUSB_ERROR_NOT_FOUND: .notFound
      case LIBUSB_ERROR_PIPE: .refused
      case LIBUSB_ERROR_OVERFLOW: .protocolViolation
      case LIBUSB_ERROR_INTERRUPTED: .cancelled
      default: .io
      }
    // A static string of the library, never freed.
    let text = libusb_strerror(number).map { String(cString: $0) } ?? "unknown error"
    self.init(
      code, action, address: address, library: LibraryCode(name: "libusb", number: number, text: text.lowercasedFirst))
  }

  /// The number of libusb that says the same as a transfer's status; 0 for a completed one.
  static func number(of status: libusb_transfer_status) -> Int32 {
    switch status {
    case LIBUSB_TRANSFER_COMPLETED: 0
    case LIBUSB_TRANSFER_TIMED_OUT: LIBUSB_ERROR_TIMEOUT.rawValue
    case LIBUSB_TRANSFER_CANCELLED: LIBUSB_ERROR_INTERRUPTED.rawValue
    case LIBUSB_TRANSFER_STALL: LIBUSB_ERROR_PIPE.rawValue
    case LIBUSB_TRANSFER_NO_DEVICE: LIBUSB_ERROR_NO_DEVICE.rawValue
    case LIBUSB_TRANSFER_OVERFLOW: LIBUSB_ERROR_OVERFLOW.rawValue
    default: LIBUSB_ERROR_IO.rawValue
    }
  }
}

extension String {
  /// libusb begins its sentences with a capital; ours go on after a colon.
  fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}

/// Runs calls that may block on a thread of their own: never on the cooperative pool.
func onThread<Value: Sendable>(
  address: String, _ body: @escaping @Sendable () throws(TransportError) -> Value
) async throws(TransportError) -> Value {
  let result: Result<Value, TransportError> = await withCheckedContinuation { continuation in
    let rc = startThread {
      do throws(TransportError) {
        continuation.resume(returning: .success(try body()))
      } catch {
        continuation.resume(returning: .failure(error))
      }
    }
    if rc != 0 {
      continuation.resume(
        returning: .failure(TransportError(errno: rc, "cannot start a thread", address: address)))
    }
  }
  return try result.get()
}
