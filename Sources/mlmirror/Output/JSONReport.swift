import Replication

/// A verification as one JSON document, written while differences are found: memory does not grow with them.
///
/// `{"message_type":"verify_report", ..., "differences":[...], "summary":{...}}`. When the verification fails, `summary` is null.
final class JSONReport: Sendable {
    private struct State {
        var pending: [UInt8]
        var isFirst = true
        /// It has its end, or could not be written any further.
        var isEnded = false
    }
    private let state: Locked<State>
    private let write: @Sendable ([UInt8]) throws -> Void
    private static let chunk = 1 << 16

    private struct Head: Encodable {
        var messageType = "verify_report"
        var startedAt: String
        var primary: String
        var secondary: String
        var pair: String
        var isDeep: Bool
    }

    init(settings: MirrorSettings, startedAt: Int64, isDeep: Bool, write: @escaping @Sendable ([UInt8]) throws -> Void) throws {
        let head = Head(
            startedAt: Instant.text(startedAt), primary: settings.primary.uri.value.description,
            secondary: settings.secondary.uri.value.description, pair: settings.pair.value, isDeep: isDeep)
        state = Locked(State(pending: Array(try JSONLine.encode(head).dropLast().utf8) + Array(",\"differences\":[".utf8)))
        self.write = write
    }

    func add(_ difference: Difference) throws {
        let line = try JSONLine.encode(difference)
        try state.withLock { state in
            state.pending += Array((state.isFirst ? "\n" : ",\n").utf8) + Array(line.utf8)
            state.isFirst = false
            if state.pending.count >= Self.chunk { try flush(&state) }
        }
    }

    /// Ends the document, once; `summary` nil: the verification did not finish.
    func finish(_ summary: VerifyDocument?) throws {
        let last = try summary.map { try JSONLine.encode($0) } ?? "null"
        try state.withLock { state in
            guard !state.isEnded else { return }
            state.isEnded = true
            state.pending += Array("],\n\"summary\":\(last)}\n".utf8)
            try flush(&state)
        }
    }

    private func flush(_ state: inout State) throws {
        do { try write(state.pending) } catch {
            // Who knows how much of it is there: nothing can follow it.
            state.isEnded = true
            throw error
        }
        state.pending = []
    }
}
