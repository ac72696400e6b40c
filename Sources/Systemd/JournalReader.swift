import CSystemd
import Glibc

/// Reads this machine's journal, as far as whoever asks may.
public enum JournalReader {
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    public struct Entry: Sendable {
        /// Milliseconds since 1970: when the journal took it.
        public var at: Int64
        public var fields: [String: String]

        public init(at: Int64, fields: [String: String]) {
            self.at = at
            self.fields = fields
        }
    }

    /// The newest entry that has all these fields.
    ///
    /// - Throws: `Failure`.
    public static func newest(_ wanted: [Journal.Field]) throws -> Entry? {
        var opened: OpaquePointer?
        try check(sd_journal_open(&opened, Int32(SD_JOURNAL_LOCAL_ONLY)), "opened")
        guard let journal = opened else { return nil }
        defer { sd_journal_close(journal) }
        // Long values too are read whole.
        try check(sd_journal_set_data_threshold(journal, 0), "read")
        for field in wanted {
            let match = Array("\(field.name)=\(field.value)".utf8)
            try check(sd_journal_add_match(journal, match, match.count), "searched")
        }
        try check(sd_journal_seek_tail(journal), "searched")
        let found = sd_journal_previous(journal)
        try check(found, "searched")
        guard found > 0 else { return nil }
        var microseconds: UInt64 = 0
        try check(sd_journal_get_realtime_usec(journal, &microseconds), "read")
        return Entry(at: Int64(microseconds / 1000), fields: fields(journal))
    }

    /// No document of ours is as long; in bytes.
    static let longestField = 16 << 20

    /// What another version has written may hold anything: nil where there is no name, or no end to be seen.
    static func field(_ data: UnsafeRawBufferPointer) -> Journal.Field? {
        guard data.count <= longestField, let equals = data.firstIndex(of: UInt8(ascii: "=")), equals > 0 else { return nil }
        return Journal.Field(
            String(decoding: data[..<equals], as: UTF8.self), String(decoding: data[(equals + 1)...], as: UTF8.self))
    }

    private static func fields(_ journal: OpaquePointer) -> [String: String] {
        var fields: [String: String] = [:]
        var data: UnsafeRawPointer?
        var length = 0
        sd_journal_restart_data(journal)
        while sd_journal_enumerate_available_data(journal, &data, &length) > 0 {
            guard let field = field(UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : length)) else { continue }
            fields[field.name] = field.value
        }
        return fields
    }

    private static func check(_ code: Int32, _ verb: String) throws {
        guard code < 0 else { return }
        throw Failure(description: "the journal cannot be \(verb): \(String(cString: strerror(-code)))")
    }
}
