/// The document of a thing's unknown fields, among its files: JSON, the same bytes for the same fields always.
///
///     {"format": "mlmirror unknown fields 1", "run": ID, "fields": {PATH: VALUE}, "not_carried": [PATH]}
///
/// The id is the primary's; of a logged model the member is `model`. What is too large to be carried is named.
struct UnknownDocument: Sendable {
    static let path = Overflow.folder + "unknown.json"

    /// A run or logged model.
    let key: EntityKey
    let fields: [UnknownField]

    var bytes: [UInt8] {
        let owner = key.kind == .run ? "run" : "model"
        return Array(
            """
            {
            "format": "mlmirror unknown fields 1",
            "\(owner)": \(JSONText.quoted(key.id))\(Self.members(fields))
            }

            """.utf8)
    }

    /// As members of an object that has others before them; empty where there are none.
    static func members(_ fields: [UnknownField]) -> String {
        let fields = fields.sorted { $0.path < $1.path }
        let carried = fields.compactMap { field in field.json.map { "\n\(JSONText.quoted(field.path)): \($0)" } }
        let others = fields.filter { $0.json == nil }.map { JSONText.quoted($0.path) }
        var text = ""
        if !carried.isEmpty { text += ",\n\"fields\": {\(carried.joined(separator: ","))\n}" }
        if !others.isEmpty { text += ",\n\"not_carried\": [\(others.joined(separator: ", "))]" }
        return text
    }
}
