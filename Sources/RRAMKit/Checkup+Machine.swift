internal import Foundation
internal import RRAMUSB

extension Checkup {
  /// Whether this machine has USB at all, and nodes through which devices are reached.
  static func machine(_ places: Places) -> Finding {
    let files = FileManager.default
    guard files.fileExists(atPath: places.usbDevices) else {
      return Finding("USB", nil, "this machine has no USB (no \(places.usbDevices))", .noUSB)
    }
    guard files.fileExists(atPath: places.deviceNodes) else {
      return Finding("USB", nil, "there are no device nodes (no \(places.deviceNodes))", .noDeviceNodes)
    }
    return Finding("USB", nil, "the kernel has USB, and device nodes are in \(places.deviceNodes)")
  }

  /// The kernel's limit on what all users of usbfs keep under way; `nil` where the kernel has no such limit.
  static func memory(_ places: Places, boards: Int) -> Finding? {
    guard let text = try? String(contentsOfFile: places.memoryLimit, encoding: .utf8),
      let limit = Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
    else { return nil }
    if limit == 0 { return Finding("memory", nil, "transfers may take any amount of memory") }
    // A board's transfers, with as much again for what the kernel adds; in MB, rounded up.
    let needed = max(1, (2 * max(1, boards) * USBTransport.kernelBytes + 1_048_575) >> 20)
    if limit < needed {
      return Finding(
        "memory", nil, "transfers of all programs may take \(limit) MB, \(boards) boards need \(needed) MB",
        .memory(needed: max(needed, defaultMemory)))
    }
    if limit < defaultMemory {
      return Finding(
        "memory", nil,
        "transfers of all programs may take \(limit) MB; the kernel's own default is \(defaultMemory) MB",
        .memory(needed: defaultMemory), state: .warning)
    }
    return Finding("memory", nil, "transfers of all programs may take \(limit) MB")
  }

  /// Whether the rule that gives boards to their group is installed and in force.
  static func rule(_ places: Places, identity: USBIdentity, isRoot: Bool) -> [Finding] {
    // Root needs no rule; everybody else does.
    let severity: State = isRoot ? .warning : .problem
    let subject = "udev rule"
    let paths = places.ruleFolders.map { "\($0)/\(ruleName)" }
    guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      let consequence = isRoot ? "only root may use boards" : "this user may not use boards"
      return [Finding(subject, nil, "\(ruleName) is not installed: \(consequence)", .noRule, state: severity)]
    }
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    let ids = [identity.vendorID, identity.productID].map { String(0x10000 + Int($0), radix: 16).dropFirst() }
    guard !text.isEmpty else {
      return [Finding(subject, nil, "\(path) is empty and switches the rule off", .noRule, state: severity)]
    }
    let wanted = ids.map(String.init) + [identity.manufacturer, identity.product, "GROUP=\"\(ruleGroup)\""]
    guard wanted.allSatisfy({ text.contains($0) }) else {
      return [Finding(subject, nil, "\(path) is a rule for other boards", .noRule, state: severity)]
    }
    guard FileManager.default.fileExists(atPath: places.udevControl) else {
      return [
        Finding(
          subject, nil, "\(path) is installed, but udev does not run here: nothing applies it", .udevNotRunning,
          state: .warning)
      ]
    }
    return [Finding(subject, nil, "\(path) is installed")]
  }
}
