import Replication

/// MLflow's filter language (mlflow/utils/search_utils.py): it knows no escapes, so a text that holds both kinds of quotes, or a key
/// that holds a backtick, cannot be said in it.
enum SearchFilter {
    /// A quoted text; nil where none of the quotes does.
    static func quote(_ text: String, _ quotes: [Character] = ["'", "\""]) -> String? {
        guard !text.contains("\\"), !text.contains("\0") else { return nil }
        return quotes.first { !text.contains($0) }.map { "\($0)\(text)\($0)" }
    }

    /// ``tags.`key` = 'value'``; nil where it cannot be said.
    static func tag(_ tag: Tag, _ quotes: [Character] = ["'", "\""]) -> String? {
        guard !tag.key.contains("`"), let value = quote(tag.value, quotes) else { return nil }
        return "tags.`\(tag.key)` = \(value)"
    }
}
