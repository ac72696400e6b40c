import Replication

/// The mode as `mode --json` prints it: these names are a promise.
struct ModeDocument: Encodable {
    struct Switch: Codable {
        var experiments: [String]
        var models: [String]
        var step: String
        var waitsFor: String?
        var isDeep: Bool
        var acceptsDifferences: Bool
        var askedAt: String
        var cutover: Int64?
        var verifiedAt: String?
        var sealedAt: String?
        var compared: [String: Int]
        var differences: Int
        var examples: [String]
        var moving: Int

        init(_ one: ModeSwitch) {
            (experiments, models, step, waitsFor) = (one.scope.experiments, one.scope.models, one.step.rawValue, one.waitsFor)
            (isDeep, acceptsDifferences) = (one.isDeep, one.acceptsDifferences)
            (askedAt, verifiedAt, sealedAt) = (Instant.text(one.askedAt), one.verifiedAt.map(Instant.text), one.sealedAt.map(Instant.text))
            (cutover, compared, differences, examples, moving) = (one.cutover, one.compared, one.differences, one.examples, one.moving)
        }
    }

    struct StragglerDocument: Encodable {
        var kind: String
        var id: String
        var firstAt: String
        var lastAt: String
        var changes: Int
    }

    static let stragglersShown = 20

    var messageType = "mode"
    var mode: String
    var switches: [Switch]
    var stragglers: Int
    /// The last ones.
    var lastStragglers: [StragglerDocument]
    private let ledger: ModeLedger

    enum CodingKeys: CodingKey { case messageType, mode, switches, stragglers, lastStragglers }

    init(_ ledger: ModeLedger, _ stragglers: Int, _ last: [Straggler]) {
        self.ledger = ledger
        mode = ledger.mode.rawValue
        switches = ledger.switches.map(Switch.init)
        self.stragglers = stragglers
        lastStragglers = last.map {
            StragglerDocument(
                kind: $0.key.kind.rawValue, id: $0.key.id, firstAt: Instant.text($0.firstAt), lastAt: Instant.text($0.lastAt),
                changes: $0.changes)
        }
    }

    func text(at now: Int64) -> String {
        var lines = ["mode: \(mode)"]
        for one in ledger.switches {
            lines.append("\(one.scope.text): \(one.progress)")
            if let verified = one.verifiedAt {
                let differences = one.differences == 0 ? "no differences" : Quantity.count(one.differences, "difference")
                let moving = one.moving == 0 ? "" : "; \(Quantity.count(one.moving, "thing was", "things were")) being written"
                lines.append(
                    "  compared\(one.isDeep ? " deeply" : "") \(Instant.text(verified)): \(LabelCounts.text(one.compared)): \(differences)\(moving)"
                )
            }
            lines += one.examples.map { "    \($0.printable)" }
        }
        if stragglers > 0 {
            lines.append("still written on the primary: \(Quantity.count(stragglers, "thing")); the journal names who and from where")
            lines += lastStragglers.map { "  \($0.kind) \($0.id.printable): \(Quantity.count($0.changes, "change")), last \($0.lastAt)" }
        }
        return lines.joined(separator: "\n")
    }
}

extension ModeSwitch {
    /// How far it is, for people.
    var progress: String {
        if let sealedAt { return "azureml-only since \(Instant.text(sealedAt)), cutover at \(cutover ?? 0)" }
        return step.rawValue + (waitsFor.map { ", waits for \($0)" } ?? "")
    }
}
