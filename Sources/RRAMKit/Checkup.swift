public import RRAMUSB

/// What `rram doctor` finds: every step from the machine's USB to a session with the board, in that order.
public struct Checkup: Sendable, Hashable {
  /// How a step went.
  public enum State: String, Sendable, Hashable, Codable {
    case ok
    /// Works, but not as well as it could.
    case warning
    case problem
  }

  /// One step and what was found, as one line.
  public struct Finding: Sendable, Hashable {
    /// What was looked at, in a word or two.
    public var subject: String
    /// The board concerned; `nil` for the machine.
    public var address: String?
    public var state: State
    public var message: String
    /// What is wrong, for whoever knows how to mend it.
    public var problem: Problem?

    public init(
      _ subject: String, _ address: String? = nil, _ message: String, _ problem: Problem? = nil,
      state: State? = nil
    ) {
      self.subject = subject
      self.address = address
      self.state = state ?? (problem == nil ? .ok : .problem)
      self.message = message
      self.problem = problem
    }
  }

  /// Kinds of trouble, with the facts that mending needs.
  public enum Problem: Sendable, Hashable {
    /// The kernel has no USB.
    case noUSB
    /// The kernel has USB, but no device nodes are here, as in a container.
    case noDeviceNodes
    /// No such board; the serials there are.
    case noBoard(attached: [String])
    /// Something with a board's ids and other strings.
    case notABoard
    case sameSerial
    /// The rule is not installed, is masked, or is for other boards.
    case noRule
    case udevNotRunning
    /// The kernel allows all users of usbfs together too little memory, in MB.
    case memory(needed: Int)
    /// This user may not use the node, which belongs to another group than boards should.
    case notPermitted(node: String)
    /// This user is not in the group that may.
    case notInGroup(String, user: String)
    /// The user is in the group, but this login began before.
    case loginOlderThanGroup(String)
    /// Firmware older than this host understands.
    case firmwareTooOld
    /// Firmware that no longer speaks this host's level.
    case hostTooOld
    case busy([USBHolder])
    /// Does not answer in time.
    case silent
    /// Answers something else than a board would.
    case garbled
    /// Anything else; see the message.
    case failed
  }

  public var findings: [Finding]

  public init(findings: [Finding]) { self.findings = findings }

  /// Nothing stands between this user and a board.
  public var isHealthy: Bool { !findings.contains { $0.state == .problem } }
}

extension Checkup {
  /// Where the system keeps what is looked at; other places in tests.
  public struct Places: Sendable {
    public var usbDevices = "/sys/bus/usb/devices"
    public var deviceNodes = "/dev/bus/usb"
    public var memoryLimit = "/sys/module/usbcore/parameters/usbfs_memory_mb"
    public var udevControl = "/run/udev/control"
    /// Folders of rules; a file in an earlier one hides its namesakes (udev(7)).
    public var ruleFolders = [
      "/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d",
      "/lib/udev/rules.d",
    ]

    public init() {}
  }

  /// Name of the rule's file.
  static let ruleName = "70-rram.rules"
  /// The group that the rule gives boards to.
  static let ruleGroup = "plugdev"
  /// What the kernel allows unless told otherwise, MB (`usbfs_memory_mb` in kernel-parameters.txt).
  static let defaultMemory = 16
}
