import CLibUSBPlain

/// The same requests with libusb alone: eight transfers in wait for answers, as a program that misses none has to keep them, and the calling
/// thread runs libusb's events until its answer is there.
final class PlainLibUSB {
  struct Failure: Error {
    var action: String
    var number: Int32
  }

  private let context: OpaquePointer
  private let handle: OpaquePointer
  private var inbound: [UnsafeMutablePointer<libusb_transfer>] = []
  private var received = 0
  private var failure: Int32 = 0
  private var isClosing = false
  private var flying = 0

  private static let transfers = 8
  private static let bytes = 64 * 1024

  init() throws {
    var context: OpaquePointer?
    var rc = libusb_init(&context)
    guard rc == 0, let context else { throw Failure(action: "init", number: rc) }
    guard let handle = libusb_open_device_with_vid_pid(context, 0x1209, 0x0001) else {
      libusb_exit(context)
      throw Failure(action: "open", number: 0)
    }
    rc = libusb_claim_interface(handle, 0)
    guard rc == 0 else {
      libusb_close(handle)
      libusb_exit(context)
      throw Failure(action: "claim", number: rc)
    }
    self.context = context
    self.handle = handle
  }

  /// Submits what waits for answers.
  func listen() throws {
    for _ in 0..<Self.transfers {
      guard let transfer = libusb_alloc_transfer(0) else { throw Failure(action: "allocate", number: 0) }
      fill(transfer, endpoint: 0x81, bytes: .allocate(capacity: Self.bytes), count: Self.bytes) { transfer in
        guard let transfer, let owner = transfer.pointee.user_data else { return }
        Unmanaged<PlainLibUSB>.fromOpaque(owner).takeUnretainedValue().came(transfer)
      }
      inbound.append(transfer)
      try submit(transfer)
    }
  }

  private func fill(
    _ transfer: UnsafeMutablePointer<libusb_transfer>, endpoint: UInt8, bytes: UnsafeMutablePointer<UInt8>, count: Int,
    _ callback: @escaping libusb_transfer_cb_fn
  ) {
    transfer.pointee.dev_handle = handle
    transfer.pointee.endpoint = endpoint
    transfer.pointee.type = UInt8(LIBUSB_TRANSFER_TYPE_BULK.rawValue)
    transfer.pointee.buffer = bytes
    transfer.pointee.length = Int32(count)
    transfer.pointee.callback = callback
    transfer.pointee.user_data = Unmanaged.passUnretained(self).toOpaque()
  }

  private func submit(_ transfer: UnsafeMutablePointer<libusb_transfer>) throws {
    let rc = libusb_submit_transfer(transfer)
    guard rc == 0 else { throw Failure(action: "submit", number: rc) }
    flying += 1
  }

  private func came(_ transfer: UnsafeMutablePointer<libusb_transfer>) {
    flying -= 1
    guard !isClosing else { return }
    guard transfer.pointee.status.rawValue == 0 else {
      failure = Int32(transfer.pointee.status.rawValue)
      return
    }
    received += Int(transfer.pointee.actual_length)
    if libusb_submit_transfer(transfer) == 0 { flying += 1 } else { failure = -1 }
  }

  /// Runs libusb's events until `count` bytes have come.
  func receive(_ count: Int) throws {
    while received < count {
      let rc = libusb_handle_events(context)
      guard rc == 0, failure == 0 else { throw Failure(action: "receive", number: rc == 0 ? failure : rc) }
    }
    received -= count
  }

  /// Sends one transfer; what becomes of it is seen by the answer.
  func send(_ message: [UInt8]) throws {
    guard let transfer = libusb_alloc_transfer(0) else { throw Failure(action: "allocate", number: 0) }
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: message.count)
    bytes.initialize(from: message, count: message.count)
    fill(transfer, endpoint: 0x01, bytes: bytes, count: message.count) { transfer in
      guard let transfer, let owner = transfer.pointee.user_data else { return }
      Unmanaged<PlainLibUSB>.fromOpaque(owner).takeUnretainedValue().flying -= 1
      transfer.pointee.buffer.deallocate()
      libusb_free_transfer(transfer)
    }
    try submit(transfer)
  }

  func close() {
    isClosing = true
    for transfer in inbound { libusb_cancel_transfer(transfer) }
    while flying > 0 { libusb_handle_events(context) }
    for transfer in inbound {
      transfer.pointee.buffer.deallocate()
      libusb_free_transfer(transfer)
    }
    libusb_release_interface(handle, 0)
    libusb_close(handle)
    libusb_exit(context)
  }
}
