import Replication

/// Differences as lines for people: the first hundred, and how many more there are.
final class DifferenceLines: Sendable {
    static let shown = 100
    private let console: Console
    private let found = Locked(0)

    init(_ console: Console) { self.console = console }

    func add(_ difference: Difference) {
        let number = found.withLock { found in
            found += 1
            return found
        }
        if number <= Self.shown { console.result(Self.line(difference) + "\n") }
    }

    /// How many were not shown.
    var hidden: Int { found.withLock { max(0, $0 - Self.shown) } }

    static func line(_ difference: Difference) -> String {
        let kind = difference.kind.split(separator: "_").joined(separator: " ")
        let ids = [difference.primary.map { "\($0.printable)" }, difference.secondary.map { "(secondary \($0.printable))" }]
        let subject = ([kind] + ids.compactMap { $0 }).joined(separator: " ")
        let values = "primary \(value(difference.primaryValue)), secondary \(value(difference.secondaryValue))"
        return "\(subject): \(difference.field.printable): \(values)"
    }

    private static func value(_ text: String?) -> String { text.map { "\"\($0.printable.shortened(to: 80))\"" } ?? "has none" }
}
