import Replication

/// Dead letters to be shown.
struct LetterList {
    var letters: [NotedLetter]
    /// Those that are not shown too.
    var count: Int
    /// How many are left out by decision.
    var discarded: Int
    var showsDiscarded: Bool
}

/// Dead letters for people.
struct LetterText {
    var now: Int64
    var style: Style

    func text(_ list: LetterList) -> String {
        var text = list.letters.map(line).joined()
        if list.count > list.letters.count { text += "  and \(Quantity.count(list.count - list.letters.count)) more; --limit shows them\n" }
        if list.showsDiscarded {
            return text + (list.count == 0 ? "Nothing" : Quantity.count(list.count, "letter")) + " left out by decision.\n"
        }
        text += list.count == 0 ? "Nothing set aside.\n" : "\(Quantity.count(list.count, "letter")) set aside.\n"
        if list.discarded > 0 { text += "\(Quantity.count(list.discarded)) more left out by decision: --discarded shows them.\n" }
        return text
    }

    /// Number, what, why; and the message below.
    func line(_ noted: NotedLetter) -> String {
        let tries = "tried \(Quantity.count(noted.tries, "time")), last \(ago(noted.lastAt))"
        return "#\(noted.number)  \(Self.subject(noted.letter))  \(noted.letter.reason.printable), \(tries)\n"
            + "    \(noted.letter.message.printable.shortened(to: 400))\n"
    }

    func whole(_ noted: NotedLetter) -> String {
        var lines: [(String, String)] = [
            ("number:", "\(noted.number)"), ("about:", Self.subject(noted.letter)), ("reason:", noted.letter.reason.printable),
            ("message:", noted.letter.message.printable),
        ]
        if let exchange = noted.letter.exchange {
            lines += [("request:", exchange.request.printable), ("answer:", exchange.answer.printable)]
        }
        lines += [
            ("set aside:", "\(Instant.text(noted.firstAt)), \(ago(noted.firstAt))"),
            ("last tried:", "\(Instant.text(noted.lastAt)), \(ago(noted.lastAt))"),
            ("tries:", Quantity.count(noted.tries)),
        ]
        if let at = noted.discardedAt { lines.append(("discarded:", "\(Instant.text(at)), \(ago(at))")) }
        return lines.map { $0.0 + String(repeating: " ", count: 14 - $0.0.count) + $0.1 + "\n" }.joined()
    }

    private static func subject(_ letter: DeadLetter) -> String {
        let part = letter.path.isEmpty ? "" : ", \(letter.path)"
        return "\(LetterKind.name(of: letter.key.kind)) \(letter.key.id)\(part)".printable
    }

    private func ago(_ milliseconds: Int64) -> String { "\(Quantity.duration(max(0, Double(now - milliseconds) / 1000))) ago" }
}

/// One letter as `--json` prints it.
struct LetterDocument: Encodable {
    var messageType: String?
    var number: Int64
    var kind: String
    var id: String
    var path: String?
    var reason: String
    var message: String
    var request: String?
    var answer: String?
    var firstAt: String
    var lastAt: String
    var tries: Int
    var discardedAt: String?

    init(_ noted: NotedLetter, messageType: String? = nil) {
        self.messageType = messageType
        number = noted.number
        kind = LetterKind.name(of: noted.letter.key.kind)
        id = noted.letter.key.id
        path = noted.letter.path.isEmpty ? nil : noted.letter.path
        reason = noted.letter.reason
        message = noted.letter.message
        request = noted.letter.exchange?.request
        answer = noted.letter.exchange?.answer
        firstAt = Instant.text(noted.firstAt)
        lastAt = Instant.text(noted.lastAt)
        tries = noted.tries
        discardedAt = noted.discardedAt.map(Instant.text)
    }
}

struct LetterListDocument: Encodable {
    var messageType = "dead_letters"
    var letters: [LetterDocument]
    var count: Int
    var discarded: Int

    init(_ list: LetterList) {
        letters = list.letters.map { LetterDocument($0) }
        count = list.count
        discarded = list.discarded
    }
}

/// How a decision about letters ended.
struct DecisionDocument: Encodable {
    /// `requeue` or `discard`.
    var messageType: String
    var state: String
    /// That the decision was about.
    var letters: Int
    /// The first of those that are set aside after they were tried.
    var remaining: [LetterDocument]?
    var remainingCount: Int?
    /// Things that a pause has kept from being tried.
    var held: Int?

    init(
        _ what: String, _ state: OwnerRequest.State = .done, letters: Int, remaining: [NotedLetter]? = nil, remainingCount: Int? = nil,
        held: Int? = nil
    ) {
        messageType = what
        self.state = state.rawValue
        self.letters = letters
        self.remaining = remaining.map { $0.map { LetterDocument($0) } }
        self.remainingCount = remainingCount
        self.held = held
    }
}
