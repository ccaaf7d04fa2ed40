/// Options that may stand before the verb as well as after it.
///
/// ArgumentParser gives what stands before a subcommand to the root command only, so these are moved behind the verb.
func hoistGlobalOptions(_ arguments: [String]) -> [String] {
  let withValue: Set = ["--board", "--run-dir", "--capture", "--record"]
  let flags: Set = ["--json", "-v", "--verbose", "-q", "--quiet"]
  var moved: [String] = []
  var rest = arguments[...]
  while let first = rest.first, first.hasPrefix("-") {
    if withValue.contains(first), rest.count > 1 {
      moved += rest.prefix(2)
      rest = rest.dropFirst(2)
    } else if flags.contains(first) || withValue.contains(where: { first.hasPrefix($0 + "=") }) {
      moved.append(first)
      rest = rest.dropFirst()
    } else {
      break
    }
  }
  guard let verb = rest.first, !verb.hasPrefix("-") else { return arguments }
  return [verb] + moved + rest.dropFirst()
}
