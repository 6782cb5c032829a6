// Numbers with their nouns.

/// "1 row", "2 rows".
func counted(_ count: some BinaryInteger, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
