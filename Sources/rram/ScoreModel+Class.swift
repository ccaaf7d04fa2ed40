import RRAMKit

extension ScoreModel {
  /// The classes as `--class` takes them.
  var classChoices: String {
    let names = metadata.classNames
    return (0..<network.classCount).map { $0 < names.count ? "\($0) (\(names[$0]))" : "\($0)" }.joined(separator: ", ")
      + ", and none"
  }

  /// What `--class` names; nil for the null condition and for a network without classes.
  func classIndex(_ label: String?) throws -> Int? {
    guard network.isConditional else {
      guard let label else { return nil }
      throw CommandError(message: "--class \(label): '\(name)' has no classes", exitCode: ExitStatus.usage)
    }
    guard let label else {
      throw CommandError(
        message: "no class is named: '\(name)' has the classes \(classChoices)",
        hint: "add '--class \(metadata.classNames.first ?? "0")' or another of them", exitCode: ExitStatus.usage)
    }
    if label == "none" { return nil }
    guard let index = metadata.classNames.firstIndex(of: label) ?? Int(label), (0..<network.classCount).contains(index)
    else {
      throw CommandError(
        message: "--class \(label): '\(name)' has the classes \(classChoices)", exitCode: ExitStatus.usage)
    }
    return index
  }
}
