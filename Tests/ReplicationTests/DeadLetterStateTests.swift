import GRDB
import Hashing
import TestSupport
import Testing

@testable import Replication

/// What the state file knows of what was set aside.
@Suite struct DeadLetterStateTests {
    /// That an experiment's runs could not be listed is settled by a listing, and by nothing else.
    @Test func whatCouldNotBeListedIsNotSettledByALookAtOneThing() throws {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("state.db"))
        let key = EntityKey.experiment(ExperimentID("7"))
        try state.setAside(DeadLetter(key: key, path: "contents", reason: "forbidden", message: "closed"), entry: nil, at: 1)
        #expect(try state.requeue(LetterSelection(numbers: [1]), listsAgain: true, at: 2) == 1)
        #expect(try state.control(.reconciling) != nil)
        let entry = try state.entry(key)
        #expect(entry != nil)
        try state.acknowledge(Acknowledgement(entry: entry), at: 3)
        #expect(try state.deadLetterCount() == 1)
        // Listed, and refused again; listed, and not.
        try state.questionListingLetters()
        try state.setAside(DeadLetter(key: key, path: "contents", reason: "forbidden", message: "closed"), entry: nil, at: 4)
        try state.dropQuestionedListingLetters()
        #expect(try state.letters(LetterSelection(numbers: [1]), limit: 9).map(\.tries) == [2])
        try state.questionListingLetters()
        try state.dropQuestionedListingLetters()
        #expect(try state.deadLetterCount() == 0)
        try state.close()
    }

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func open() throws -> ReplicationState { try ReplicationState.open(path: folder.file("s.db")) }
    private func record(_ text: String) -> SHA256Digest { .of(text.utf8) }
    private let run = EntityKey(.run, "r")
    private let files = EntityKey(.runArtifacts, "r")

    private func letter(_ key: EntityKey, _ path: String = "", reason: String = "invalid", record: SHA256Digest? = nil) -> DeadLetter {
        DeadLetter(key: key, path: path, reason: reason, message: "\(key) \(path) is refused", record: record)
    }

    @Test func aLetterKeepsItsNumberWhileItIsTried() throws {
        let state = try open()
        let exchange = StoreExchange(request: "POST /api/x", answer: "HTTP 400 " + String(repeating: "a", count: 1000))
        for at in [10, 20, 30] as [Int64] {
            try state.setAside(DeadLetter(key: run, reason: "invalid", message: "no", exchange: exchange), entry: nil, at: at)
        }
        try state.setAside(letter(files, "a.bin"), entry: nil, at: 40)
        let letters = try state.letters(.all, limit: 9)
        #expect(letters.map(\.number) == [1, 2] && letters.map(\.tries) == [3, 1])
        #expect(letters[0].firstAt == 10 && letters[0].lastAt == 30)
        #expect(letters[0].letter.exchange?.request == "POST /api/x" && letters[0].letter.exchange?.answer.count == 300)
        #expect(letters[1].letter.exchange == nil && letters[1].letter.message == "run_artifacts r a.bin is refused")
        // Copied, and refused once more: another letter, by a number that was never given.
        try state.append([Change(files)], at: 0)
        _ = try state.questionFileLetters(of: files)
        try state.acknowledge(Acknowledgement(entry: try state.entry(files)), at: 50)
        try state.setAside(letter(files, "a.bin"), entry: nil, at: 60)
        #expect(try state.letters(.all, limit: 9).map(\.number) == [1, 3])
        try state.close()
    }

    @Test func aFileMayBeCalledAsAListingIs() throws {
        let state = try open()
        let files = EntityKey(.runArtifacts, "r")
        for path in ["contents", "registry"] {
            try state.setAside(DeadLetter(key: files, path: path, reason: "invalid", message: "a file"), entry: nil, at: 1)
        }
        try state.setAside(
            DeadLetter(key: EntityKey(.experiment, "1"), path: "contents", reason: "forbidden", message: ""), entry: nil, at: 1)
        try state.questionListingLetters()
        try state.dropQuestionedListingLetters()
        #expect(try state.letters(.all, limit: 9).map(\.letter.key) == [files, files])
        // A look at the owner that does not meet them any more is what takes them away.
        try state.append([Change(files)], at: 0)
        _ = try state.questionFileLetters(of: files)
        try state.acknowledge(Acknowledgement(entry: try state.entry(files)), at: 2)
        #expect(try state.letterCount(.all) == 0)
        try state.close()
    }

    @Test func anAcknowledgementLeavesWhatItSaysIsStillWrong() throws {
        let state = try open()
        for path in ["", "tag:a", "tag:b"] { try state.setAside(letter(run, path), entry: nil, at: 0) }
        try state.append([Change(run)], at: 0)
        var done = Acknowledgement(entry: try state.entry(run))
        done.letters = [letter(run, "tag:b"), letter(run, "tag:c")]
        #expect(try state.acknowledge(done, at: 9).letters.map(\.isNew) == [false, true])
        #expect(try state.letters(.all, limit: 9).map { "\($0.number) \($0.letter.path) \($0.tries)" } == ["3 tag:b 2", "4 tag:c 1"])
        try state.close()
    }

    /// As the version before numbers left it.
    @Test func anEarlierFilesLettersAreNumbered() throws {
        let path = folder.file("earlier.db")
        try ReplicationState.open(path: path).close()
        let queue = try DatabaseQueue(path: path)
        try queue.writeWithoutTransaction { db in
            try db.execute(
                sql: Self.withoutBacklog + Self.withoutNumbers + """
                    INSERT INTO dead_letter VALUES ('run', 'late', '', 'invalid', 'why late', 20);
                    INSERT INTO dead_letter VALUES ('run_artifacts', 'early', 'a.bin', 'too_large', 'why early', 10);
                    ALTER TABLE conflict DROP COLUMN rule; DROP TABLE resolution; DROP TABLE straggler; DROP TABLE retired;
                    ALTER TABLE artifact DROP COLUMN tag;
                    PRAGMA user_version = 4;
                    """)
        }
        try queue.close()
        let state = try ReplicationState.open(path: path)
        let letters = try state.letters(.all, limit: 9)
        #expect(letters.map { "\($0.number) \($0.letter.key) \($0.letter.path)" } == ["1 run_artifacts early a.bin", "2 run late "])
        #expect(letters.map(\.firstAt) == [10, 20] && letters.map(\.lastAt) == [10, 20] && letters.map(\.tries) == [1, 1])
        #expect(letters[1].letter.message == "why late" && letters[1].letter.reason == "invalid" && letters[1].discardedAt == nil)
        #expect(try state.deadLetterCount() == 2)
        try state.requeue(.all, at: 0)
        #expect(try state.pending() == [.run: 1, .runArtifacts: 1])
        try state.close()
    }

    static let withoutBacklog = """
        DROP TRIGGER backlog_grows; DROP TRIGGER backlog_shrinks; DROP TRIGGER backlog_is_held; DROP TABLE backlog;

        """

    static let withoutNumbers = """
        DROP TABLE dead_letter;
        CREATE TABLE dead_letter (
            kind TEXT NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL, message TEXT NOT NULL,
            at INTEGER NOT NULL, PRIMARY KEY (kind, id, path)
        ) STRICT, WITHOUT ROWID;

        """

    @Test func whatIsDiscardedIsLeftOutWhileItStaysWhatItIs() throws {
        let state = try open()
        let (then, later) = (record("then"), record("later"))
        #expect(try state.unchanged(.run, [("r", then)]).isEmpty)
        try state.setAside(letter(run, record: then), entry: nil, at: 1)
        #expect(try state.unchanged(.run, [("r", then)]).isEmpty && state.deadLetterCount() == 1)
        #expect(try state.discard(LetterSelection(numbers: [1]), at: 2) == 1)
        #expect(try state.discard(LetterSelection(numbers: [1]), at: 3) == 0)
        #expect(try state.deadLetterCount() == 0 && state.discardedCount() == 1)
        #expect(try state.letters(.all, discarded: true, limit: 9).map(\.discardedAt) == [2])
        // Neither an enumeration nor a poll nor a start tries it.
        #expect(try state.unchanged(.run, [("r", then)]) == ["r"] && state.records(.run, ["r"])["r"] == ReplicationState.blob(then))
        #expect(try state.requeue(.all, at: 4) == 0 && state.pending().isEmpty)
        #expect(try state.setAside(letter(run, record: then), entry: nil, at: 5).isDiscarded)
        #expect(try state.deadLetterCount() == 0)
        // It has changed since.
        #expect(try state.unchanged(.run, [("r", later)]).isEmpty)
        #expect(try !state.setAside(letter(run, record: later), entry: nil, at: 6).isDiscarded)
        #expect(try state.deadLetterCount() == 1 && state.letters(.all, limit: 9).map(\.tries) == [3])
        try state.close()
    }

    @Test func whatNobodyHadReadWhenItWasDiscardedIsTakenAsItIsNext() throws {
        let state = try open()
        try state.setAside(letter(run), entry: nil, at: 1)
        try state.discard(.all, at: 2)
        #expect(try state.unchanged(.run, [("r", record("now"))]).isEmpty)
        try state.noteRecordsOfDiscarded(.run, [("r", record("now")), ("other", record("x"))])
        try state.noteRecordsOfDiscarded(.run, [("r", record("later"))])
        #expect(try state.unchanged(.run, [("r", record("now"))]) == ["r"] && state.unchanged(.run, [("r", record("later"))]).isEmpty)
        try state.close()
    }

    @Test func aDecisionIsTakenBackByNumber() throws {
        let state = try open()
        for id in ["a", "b", "c"] { try state.setAside(letter(EntityKey(.run, id)), entry: nil, at: 1) }
        try state.discard(LetterSelection(numbers: [1, 2]), at: 2)
        #expect(try state.requeue(LetterSelection(numbers: [2]), at: 3) == 1)
        #expect(try state.deadLetterCount() == 2 && state.discardedCount() == 1)
        #expect(try state.entries(after: .zero, kinds: [.run], limit: 9).map(\.key.id) == ["b"])
        try state.close()
    }

    @Test func aSelectionIsByKindAndReasonAndByNothingThatCameLater() throws {
        let state = try open()
        try state.setAside(letter(run, reason: "invalid"), entry: nil, at: 1)
        try state.setAside(letter(EntityKey(.run, "s"), reason: "forbidden"), entry: nil, at: 1)
        try state.setAside(letter(EntityKey(.registeredModel, "m"), reason: "forbidden"), entry: nil, at: 1)
        func numbers(_ selection: LetterSelection) throws -> [Int64] {
            // As another process hands it over.
            try state.letters(try LetterSelection(encoded: selection.encoded), limit: 9).map(\.number)
        }
        #expect(try numbers(.all) == [1, 2, 3])
        #expect(try numbers(LetterSelection(kind: .run)) == [1, 2])
        #expect(try numbers(LetterSelection(reason: "forbidden")) == [2, 3])
        #expect(try numbers(LetterSelection(kind: .run, reason: "forbidden")) == [2])
        #expect(try numbers(LetterSelection(reason: "forbidden", last: 2)) == [2])
        #expect(try numbers(LetterSelection(numbers: [3, 1])) == [1, 3])
        #expect(try LetterSelection(encoded: "") == .all)
        #expect(throws: MirrorError.self) { try LetterSelection(encoded: "run 1") }
        try state.close()
    }

    /// That files are missing is said once more of their owner.
    @Test func theFilesOfAnOwnerAreDiscardedWithItAndItWithThem() throws {
        let state = try open()
        func fill() throws {
            for path in ["a", "b"] { try state.setAside(letter(files, path), entry: nil, at: 1) }
            try state.setAside(letter(files, reason: ReplicationState.incomplete), entry: nil, at: 1)
        }
        try fill()
        #expect(try state.discard(LetterSelection(numbers: [1]), at: 2) == 1 && state.deadLetterCount() == 2)
        #expect(try state.discard(LetterSelection(numbers: [2]), at: 2) == 2 && state.deadLetterCount() == 0)
        try state.requeue(LetterSelection(numbers: [1, 2, 3]), at: 3)
        #expect(try state.deadLetterCount() == 3)
        #expect(try state.discard(LetterSelection(numbers: [3]), at: 4) == 3 && state.deadLetterCount() == 0)
        try state.close()
    }

    /// A tag that is too long may be discarded; that its run's deletion is held is another matter.
    @Test func aPartThatIsRefusedForAnotherReasonCountsAgain() throws {
        let state = try open()
        try state.setAside(letter(run, "version 3", reason: "invalid"), entry: nil, at: 1)
        try state.discard(.all, at: 2)
        #expect(try state.setAside(letter(run, "version 3", reason: "invalid"), entry: nil, at: 3).isDiscarded)
        #expect(try !state.setAside(letter(run, "version 3", reason: "brake"), entry: nil, at: 4).isDiscarded)
        try state.close()
    }
}
