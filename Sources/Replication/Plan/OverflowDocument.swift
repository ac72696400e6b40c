/// The document that holds a run's overflow: JSON, the same bytes for the same run always.
///
///     {"format": "mlmirror overflow 1", "run": ID, "tags": {KEY: VALUE}, "params": {KEY: VALUE},
///      "metrics": {NAME: [[VALUE, TIMESTAMP, STEP], ...]}, "datasets": [{"name": ..., "digest": ..., ...}],
///      "model_inputs": [ID], "model_outputs": [{"model": ID, "step": STEP}]}
///
/// Names are sorted, points are in the order of a history; NaN and the infinities are texts, as in MLflow's own answers. A member without
/// content is left out.
struct OverflowDocument: Sendable {
    /// Hands over one metric's whole history, in order.
    typealias History = @Sendable (_ metric: String, _ receive: @Sendable ([MetricPoint]) async throws -> Void) async throws -> Void

    let overflow: Overflow
    /// The primary's.
    let run: RunID

    private static let pieceSize = 64 << 10

    /// Memory: one piece of the document, and what `history` holds.
    func write(_ history: History, to receive: @escaping @Sendable ([UInt8]) async throws -> Void) async throws {
        try await receive(Array(beginning.utf8))
        for (at, name) in overflow.metrics.enumerated() {
            try await receive(Array("\(at == 0 ? ",\n\"metrics\": {" : ",")\n\(JSONText.quoted(name)): [".utf8))
            let points = Locked(PointWriter())
            try await history(name) { chunk in
                let piece = points.withLock { writer in
                    for point in chunk { writer.add(point) }
                    return writer.take(from: Self.pieceSize)
                }
                if let piece { try await receive(piece) }
            }
            let last = points.withLock { writer in
                writer.finish()
                return writer.take(from: 0)
            }
            try await receive((last ?? []) + Array("]".utf8))
        }
        try await receive(Array(((overflow.metrics.isEmpty ? "" : "\n}") + ending).utf8))
    }

    private var beginning: String {
        var text = "{\n\"format\": \"mlmirror overflow 1\",\n\"run\": \(JSONText.quoted(run.rawValue))"
        text += Self.object("tags", overflow.tags.map { ($0.key, $0.value) })
        text += Self.object("params", overflow.params.map { ($0.key, $0.value) })
        return text
    }

    private static func object(_ name: String, _ members: [(String, String)]) -> String {
        guard !members.isEmpty else { return "" }
        let lines = members.map { "\(JSONText.quoted($0.0)): \(JSONText.quoted($0.1))" }
        return ",\n\"\(name)\": {\n" + lines.joined(separator: ",\n") + "\n}"
    }

    private var ending: String {
        var text = ""
        if !overflow.modelInputs.isEmpty {
            text += ",\n\"model_inputs\": [\(overflow.modelInputs.map { JSONText.quoted($0.rawValue) }.joined(separator: ", "))]"
        }
        if !overflow.modelOutputs.isEmpty {
            let outputs = overflow.modelOutputs.map { "{\"model\": \(JSONText.quoted($0.model.rawValue)), \"step\": \($0.step)}" }
            text += ",\n\"model_outputs\": [\(outputs.joined(separator: ", "))]"
        }
        guard !overflow.datasets.isEmpty else { return text + "\n}\n" }
        let lines = overflow.datasets.map { dataset in
            var members = [
                ("name", dataset.name), ("digest", dataset.digest), ("source_type", dataset.sourceType), ("source", dataset.source),
            ]
            if let schema = dataset.schema { members.append(("schema", schema)) }
            if let profile = dataset.profile { members.append(("profile", profile)) }
            let tags = dataset.tags.sorted { $0.key < $1.key }.map { "\(JSONText.quoted($0.key)): \(JSONText.quoted($0.value))" }
            return "{" + members.map { "\"\($0.0)\": \(JSONText.quoted($0.1))" }.joined(separator: ", ")
                + ", \"tags\": {\(tags.joined(separator: ", "))}}"
        }
        return text + ",\n\"datasets\": [\n" + lines.joined(separator: ",\n") + "\n]\n}\n"
    }
}

/// Points as JSON. Of two that rank alike (NaN and zero of one instant and step) a store gives now the one first, now the other: here the
/// number comes first.
private struct PointWriter: Sendable {
    private var text: [UInt8] = []
    private var held: MetricPoint?
    private var isFirst = true

    mutating func add(_ point: MetricPoint) {
        if let held, point.ranksAlike(held), held.value.isNaN, !point.value.isNaN {
            put(point)
            return
        }
        flush()
        held = point
    }

    mutating func finish() { flush() }

    /// What was written so far, when it is at least so much.
    mutating func take(from size: Int) -> [UInt8]? {
        guard text.count >= size else { return nil }
        defer { text = [] }
        return text
    }

    private mutating func flush() {
        if let held { put(held) }
        held = nil
    }

    private mutating func put(_ point: MetricPoint) {
        text += Array("\(isFirst ? "" : ", ")[\(JSONText.number(point.value)), \(point.timestamp), \(point.step)]".utf8)
        isFirst = false
    }
}

/// The two forms of JSON that need care.
enum JSONText {
    static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
            case 0..<0x20: bytes += Array((byte < 16 ? "\\u000" : "\\u00").utf8) + Array(String(byte, radix: 16).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The shortest text that reads back as the same number.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "\"NaN\"" }
        if value.isInfinite { return value < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
        return "\(value)"
    }
}
