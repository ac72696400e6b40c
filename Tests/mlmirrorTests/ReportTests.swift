import Replication
import Testing

@testable import mlmirror

@Suite("report file")
struct ReportTests {
    private let folder: TemporaryFolder
    private let settings: MirrorSettings

    init() throws {
        folder = try TemporaryFolder()
        var flags = FlagValues()
        flags.primary = "http://a"
        flags.secondary = "http://b"
        flags.state = "s.db"
        settings = try SettingsLoader(flags: flags, environment: Environment([:]), standardFile: nil).load()
    }

    private func difference(_ number: Int) -> Difference {
        Difference(kind: .run, primary: "\(number)", secondary: nil, field: "tag:\"\n", primaryValue: "é", secondaryValue: nil)
    }

    @Test("is one JSON document with every difference, and for its owner alone", arguments: [0, 1, 5000])
    func document(_ count: Int) throws {
        let path = folder.file("r.json")
        do {
            let file = try WholeFile(path: path)
            let report = try JSONReport(settings: settings, startedAt: 0, isDeep: true) { try file.write($0) }
            for number in 0..<count { try report.add(difference(number)) }
            #expect(try FolderMaker.list(folder.path) != ["r.json"], "it is not there before it is whole")
            var summary = VerifySummary()
            summary.differences = count
            try report.finish(VerifyDocument(summary, afterRepair: nil))
            try file.commit()
        }
        #expect(try FolderMaker.list(folder.path) == ["r.json"])
        #expect(try FolderMaker.mode(path) == 0o600)
        let object = try #require(FolderMaker.object(try FolderMaker.read(path)))
        #expect(object["message_type"] as? String == "verify_report")
        #expect(object["started_at"] as? String == "1970-01-01T00:00:00.000Z")
        let differences = try #require(object["differences"] as? [[String: Any]])
        #expect(differences.count == count)
        #expect(differences.first?["primary_value"] as? String == (count > 0 ? "é" : nil))
        #expect((object["summary"] as? [String: Any])?["differences"] as? Int == count)
    }

    @Test("leaves nothing behind when it is given up")
    func abandoned() throws {
        do {
            let file = try WholeFile(path: folder.file("r.json"))
            try file.write([1, 2, 3])
        }
        #expect(try FolderMaker.list(folder.path).isEmpty)
    }

    @Test("that cannot be written is refused at once")
    func unwritable() {
        let error = #expect(throws: WriteError.self) { try WholeFile(path: folder.file("none/r.json")) }
        #expect(error?.description == "cannot write \(folder.file("none/r.json")): No such file or directory")
    }

    @Test("a folder in its place is found at once, and nothing is left in it")
    func folderInItsPlace() throws {
        try FolderMaker.makeFolder(folder.file("r.json"))
        let error = #expect(throws: WriteError.self) { try WholeFile(path: folder.file("r.json")) }
        #expect(error?.description == "cannot write \(folder.file("r.json")): Is a directory")
        #expect(try FolderMaker.list(folder.path) == ["r.json"])
    }

    @Test("ends once, and not at all where a part of it could not be written")
    func endsOnce() throws {
        let text = Locked("")
        let report = try JSONReport(settings: settings, startedAt: 0, isDeep: false) { bytes in
            text.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
        }
        try report.add(difference(1))
        try report.finish(VerifyDocument(VerifySummary(), afterRepair: nil))
        // The report beside it failed.
        try report.finish(nil)
        #expect(FolderMaker.object(text.withLock { $0 })?["summary"] as? [String: Any] != nil)

        let tries = Locked(0)
        let cut = try JSONReport(settings: settings, startedAt: 0, isDeep: false) { _ in
            tries.withLock { $0 += 1 }
            throw WriteError(description: "the disk is full")
        }
        #expect(throws: WriteError.self) { try cut.finish(VerifyDocument(VerifySummary(), afterRepair: nil)) }
        try cut.finish(nil)
        #expect(tries.withLock { $0 } == 1)
    }

    @Test("memory does not grow with the differences: it is handed on in pieces")
    func streams() throws {
        let pieces = Locked<[Int]>([])
        let report = try JSONReport(settings: settings, startedAt: 0, isDeep: false) { bytes in pieces.withLock { $0.append(bytes.count) } }
        for number in 0..<20_000 { try report.add(difference(number)) }
        #expect(pieces.withLock { $0.count } > 10)
        #expect(pieces.withLock { $0.allSatisfy { $0 < 80_000 } })
    }
}
