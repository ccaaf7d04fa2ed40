import RRAMProfiles
import RRAMUnits
import Testing

@testable import RRAMCharacterization

@Suite struct CharacterizationPlanTests {
  @Test(arguments: ["full", "quick"]) func aShippedPlanIsRead(name: String) throws {
    #expect(CharacterizationPlan.shippedNames == ["full", "quick"])
    let plan = try CharacterizationPlan.load(nameOrPath: name)
    #expect(plan.name == name)
    // Every procedure is in `full`, but for those that need another board in the socket or a network on the chip.
    let names = plan.steps.map { type(of: $0).name }
    if name == "full" {
      #expect(Set(names) == Set(CharacterizationPlan.procedureNames).subtracting(["bringUp", "loopGains"]))
    }
    #expect(Set(names).count == names.count && names.contains("endurance"))
  }

  @Test func settingsAreRead() throws {
    let plan = try CharacterizationPlan(
      yaml:
        "name: mine\nsteps:\n  - relaxation: {cells: 16, until: 3 min}\n  - pulseResponse: {set: 1700mV}\n  - arrayMap:\n",
      file: "mine.yaml")
    let relaxation = try #require(plan.steps[0] as? RelaxationSeries)
    #expect(relaxation.cells == 16 && relaxation.until == 180 && relaxation.from == 1)
    #expect((plan.steps[1] as? PulseResponse)?.set == Volts(1.7))
    #expect((plan.steps[2] as? ArrayMap)?.averages == 4)
  }

  @Test(arguments: [
    ("steps:\n  - arrayMap:\n", "mine.yaml:1: key 'name' is missing"),
    ("name: a\nsteps: []\n", "mine.yaml:2: steps: is not a list with at least one item"),
    ("name: a\nsteps:\n  - forming:\n  - frming:\n", "mine.yaml:4: steps[2]: unknown step 'frming'"),
    ("name: a\nsteps:\n  - readNoise: {cels: 4}\n", "mine.yaml:3: steps[1].readNoise: unknown key 'cels'"),
    ("name: a\nsteps:\n  - readNoise: {cells: 0}\n", "'0' is not a whole number from 1 to 65536"),
    ("name: a\nsteps:\n  - relaxation: {until: 100}\n", "mine.yaml:3: steps[1].relaxation.until: '100' has no unit"),
    ("name: a\nsteps:\n  - relaxation: {until: 100 V}\n", "the unit of '100 V' does not fit"),
    ("name: a\nsteps:\n  - relaxation: {from: 10 s, until: 1 s}\n", "1.0 s is not between 'from' (10.0 s) and 1e9 s"),
    ("name: a\nsteps:\n  - relaxation: {until: soon}\n", "'soon' is not a number and its unit"),
    ("name: a\nsteps:\n  - relaxation: {until: 10 20 s}\n", "the unit of '10 20 s' does not fit"),
    ("name: a\nsteps: [", "is not YAML"),
    (
      "name: a\nsteps:\n  - retention: {temperatures: [25, 85 °C]}\n",
      "mine.yaml:3: steps[1].retention.temperatures: '25' has no unit"
    ),
    ("name: a\nsteps:\n  - retention: {temperatures: [85 °C, 25 °C]}\n", "are not at least two rising temperatures"),
    ("name: a\nsteps:\n  - endurance: {window: 1}\n", "'1' is not a number from 1.01 to 1000000.0"),
    ("name: a\nsteps:\n  - ivSweep: {compliance: 3 V}\n", "the unit of '3 V' does not fit"),
    ("name: a\nsteps:\n  - converters: {measured: [20 kΩ, 99.9 kΩ]}\n", "needs 'instrument' beside it"),
    ("name: a\nsteps:\n  - converters: {meter: nowhere}\n", "is not HOST:PORT of an instrument"),
    ("name: a\nsteps:\n  - bringUp: {tolerance: 80 %}\n", "80.0 % is not between 0.0001 and 50 %"),
  ])
  func aPlanThatMakesNoSenseIsRefusedWithItsLine(yaml: String, message: String) {
    let error = #expect(throws: ProfileError.self) { try CharacterizationPlan(yaml: yaml, file: "mine.yaml") }
    #expect("\(error.map { "\($0)" } ?? "")".contains(message), "\(String(describing: error))")
  }

  @Test func settingsOfTheCommandLineHaveNoLine() {
    let error = #expect(throws: ProfileError.self) {
      try CharacterizationPlan.step("relaxation", settings: [(key: "until", value: "100")])
    }
    #expect(
      "\(error.map { "\($0)" } ?? "")".hasPrefix("relaxation: steps[1].relaxation.until: '100' has no unit"),
      "\(String(describing: error))")
  }

  /// What help says of a setting holds: a plan that writes every standard out is the plan that writes none, and no key is missing.
  @Test func helpSaysWhatHolds() throws {
    for step in CharacterizationPlan.describedSteps {
      #expect(!step.settings.isEmpty && step.settings.allSatisfy { !$0.meaning.isEmpty && !$0.values.isEmpty })
      // Words stand where a step has no value, and nowhere else.
      #expect(step.settings.allSatisfy { ($0.standard == nil) != ($0.none == nil) }, "\(step.name)")
      let plan = try CharacterizationPlan.step(
        step.name,
        settings: step.settings.compactMap { setting in setting.standard.map { (key: setting.name, value: $0) } })
      let standard = try CharacterizationPlan.step(step.name)
      #expect("\(plan.steps[0])" == "\(standard.steps[0])")
      let error = #expect(throws: ProfileError.self) {
        try CharacterizationPlan.step(step.name, settings: [(key: "nothing", value: "1")])
      }
      let keys = step.settings.map(\.name).joined(separator: ", ")
      #expect("\(error.map { "\($0)" } ?? "")".contains("unknown key 'nothing' (valid: \(keys))"), "\(step.name)")
    }
    let retention = try #require(CharacterizationPlan.describedSteps.first { $0.name == "retention" })
    #expect(retention.settings.map(\.standard) == ["768", "4", "[25 °C, 65 °C, 105 °C]", "1 s", "1000 s", "2"])
  }
}
