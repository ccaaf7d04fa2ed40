internal import RRAMUnits
internal import RRAMWire

/// Why the firmware does not do what a request asks; becomes the response.
struct RequestFailure: Error {
  var status: Status
  var detail: String
  var refusal: Refusal?
  /// The hardware is at fault, not the request.
  var isFault = false

  init(_ status: Status, _ detail: String) {
    self.status = status
    self.detail = detail
  }

  init(refusal: Refusal) {
    status = .limitRefused
    detail = refusal.description
    self.refusal = refusal
  }
}
