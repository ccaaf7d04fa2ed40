import Foundation
import RRAMFiles
import Testing

@Suite struct AtomicFileTests {
  @Test func replacesTheWholeFile() throws {
    try withTemporaryDirectory { directory in
      let path = directory + "/a"
      try AtomicFile.write([1, 2, 3], to: path)
      try AtomicFile.write([4], to: path)
      #expect(try FileContents.read(path) == [4])
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["a"])
    }
  }

  @Test func permissionsAreThoseAskedFor() throws {
    try withTemporaryDirectory { directory in
      try AtomicFile.write([1], to: directory + "/a", permissions: 0o600)
      let mode = try FileManager.default.attributesOfItem(atPath: directory + "/a")[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
  }

  @Test func linksStayLinks() throws {
    try withTemporaryDirectory { directory in
      try AtomicFile.write([1], to: directory + "/target")
      try FileManager.default.createSymbolicLink(atPath: directory + "/link", withDestinationPath: "target")
      try AtomicFile.write([2], to: directory + "/link")
      #expect(try FileContents.read(directory + "/target") == [2])
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: directory + "/link") == "target")
    }
  }

  @Test func devicesAreWrittenToNotReplaced() throws {
    try AtomicFile.write([1, 2], to: "/dev/null")
    let type = try FileManager.default.attributesOfItem(atPath: "/dev/null")[.type] as? FileAttributeType
    #expect(type == .typeCharacterSpecial)
  }

  @Test func missingDirectoryIsNamed() {
    let error = #expect(throws: FileError.self) { try AtomicFile.write([1], to: "/nonexistent/a") }
    #expect(error?.description == "cannot write /nonexistent/a: No such file or directory")
    #expect(error?.code == .unwritable && error?.systemError != nil)
  }

  @Test func directoriesAreNotReplaced() throws {
    try withTemporaryDirectory { directory in
      #expect(throws: FileError.self) { try AtomicFile.write([1], to: directory) }
      #expect(throws: FileError.self) { try AtomicFile.write([1], to: directory + "/") }
      let left = try FileManager.default.contentsOfDirectory(atPath: directory)
      #expect(left.isEmpty)
    }
  }

  @Test func onlyRegularFilesUpToTheLimitAreRead() throws {
    try withTemporaryDirectory { directory in
      #expect(throws: FileError.self) { try FileContents.read(directory) }
      #expect(
        #expect(throws: FileError.self) { try FileContents.read("/dev/zero") }?.description
          == "cannot read /dev/zero: not a regular file")
      let path = directory + "/sparse"
      _ = FileManager.default.createFile(atPath: path, contents: nil)
      let file = try #require(FileHandle(forWritingAtPath: path))
      try file.truncate(atOffset: 10_000_000_000)
      try file.close()
      let error = #expect(throws: FileError.self) { try FileContents.read(path) }
      #expect(error?.code == .tooLarge)
    }
  }
}
