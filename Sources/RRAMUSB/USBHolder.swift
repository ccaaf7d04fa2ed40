internal import Glibc

/// A process that has a device open.
public struct USBHolder: Sendable, Hashable, CustomStringConvertible {
  public let processID: Int32
  /// The kernel's name of the process, at most 15 bytes.
  public let name: String

  public init(processID: Int32, name: String) {
    self.processID = processID
    self.name = name
  }

  public var description: String { "\(name) (process \(processID))" }

  /// Whoever has the file at `path` open, as far as this user may see: other users' processes show to root only.
  ///
  /// Compares what descriptors refer to, not names: a container may know the same node by another one.
  public static func of(file path: String) -> [USBHolder] {
    var wanted = stat()
    guard stat(path, &wanted) == 0 else { return [] }
    return entries(of: "/proc").compactMap(Int32.init).sorted().filter { process in
      entries(of: "/proc/\(process)/fd").contains { descriptor in
        let link = "/proc/\(process)/fd/\(descriptor)"
        // The name first: following a link to a network file may block.
        guard target(of: link)?.hasPrefix("/dev/") == true else { return false }
        var found = stat()
        return stat(link, &found) == 0 && found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino
      }
    }.map { USBHolder(processID: $0, name: firstLine(of: "/proc/\($0)/comm") ?? "unknown") }
  }

  private static func entries(of folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  private static func target(of link: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(link, &buffer, buffer.count)
    return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
  }

  private static func firstLine(of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = fread(&buffer, 1, buffer.count, file)
    return String(decoding: buffer.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}

extension USBDevice {
  /// Processes that have this device open; not all of them need hold its interface.
  public var holders: [USBHolder] { node.map { USBHolder.of(file: $0) } ?? [] }
}
