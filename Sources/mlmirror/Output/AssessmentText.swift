import Replication

/// A forecast as `--json` prints it.
struct AssessmentDocument: Encodable {
    var there: [String: Int]
    var fileBytes: Int64
    var converted: [String: Int]
    var overLimit: [String: Int]
    var refused: [String]
    var refusedCount: Int

    init(_ assessment: Assessment) {
        there = assessment.there
        fileBytes = assessment.fileBytes
        converted = assessment.converted
        overLimit = assessment.overLimit
        refused = assessment.refused
        refusedCount = assessment.refusedCount
    }
}

/// A forecast for people.
struct AssessmentText {
    var assessment: Assessment

    var text: String {
        var lines = ["in scope:     \(LabelCounts.text(assessment.there)); \(Quantity.bytes(assessment.fileBytes)) of files"]
        if !assessment.overLimit.isEmpty { lines.append("runs:         \(LabelCounts.text(assessment.overLimit))") }
        lines.append(
            "converted:    \(assessment.converted.isEmpty ? "nothing: all can stand as it is" : LabelCounts.text(assessment.converted))")
        if assessment.refusedCount > 0 {
            lines.append("not possible: \(Quantity.count(assessment.refusedCount))")
            lines += assessment.refused.map { "  \($0.printable)" }
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
