import RRAMFiles
import Testing

@Suite struct CSVRecordsTests {
  private func records(_ text: String) -> [CSVRecords.Record] { Array(CSVRecords(Array(text.utf8))) }

  @Test func quotesHoldCommasLineEndsAndQuotes() {
    let found = records("\u{FEFF}a,\"b,\r\n\"\"c\"\"\"\r\n\r\nlast,")
    #expect(found.map(\.fields) == [["a", "b,\r\n\"c\""], [""], ["last", ""]])
    #expect(found.map(\.line) == [1, 3, 4] && found.map(\.isEnded) == [true, true, false])
    #expect(found[1].isEmpty && records("").isEmpty)
  }

  /// A quote opens at the beginning of a field alone; inches are text.
  @Test func aQuoteWithinAFieldIsText() {
    let found = records("1,3\" die\n2,4\" \"x\"\n\"a\"b\"c,\"\"\n")
    #expect(found.map(\.fields) == [["1", "3\" die"], ["2", "4\" \"x\""], ["ab\"c", ""]])
    #expect(found.allSatisfy { $0.isEnded && $0.unclosedQuote == nil })
    let open = records("1,\"a\nb\",\"c\n2,3\n")
    #expect(open.count == 1 && open[0].line == 1 && open[0].unclosedQuote == 2 && !open[0].isEnded)
  }

  /// Whatever is cut off, what stands before it reads as it did.
  @Test func aFileThatIsCutOffGivesWhatCameBefore() {
    let text = "row,note\r\n1,\"two\r\nlines\"\r\n2,x\r\n"
    let whole = records(text)
    #expect(whole.map(\.line) == [1, 2, 4] && whole.allSatisfy { $0.isEnded })
    for length in 0..<text.utf8.count {
      let cut = Array(CSVRecords(Array(text.utf8.prefix(length))))
      #expect(whole.starts(with: cut.filter(\.isEnded)))
      #expect(cut.dropLast().allSatisfy { $0.isEnded })
    }
  }
}
