/// Sends one run's batches, a few at once, and notes now and then how far the run has come, so that an interrupted one goes on from there.
struct BatchSender<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    struct Sent: Sendable {
        var number: Int
        var points: Int
    }
    typealias Group = ThrowingTaskGroup<Sent, any Error>

    let mirror: Mirror<Primary, Secondary>
    let run: RunID
    let target: RunID
    let gate: WriteGate

    /// Batches in flight for one run. An MLflow server on SQLite takes twice as much from two as from one, and less from four.
    private static var width: Int { 2 }
    /// Batches between two notes.
    private static var batchesPerNote: Int { 24 }

    private var next = 0
    private var inFlight = 0
    /// All before this one have arrived, and these after it.
    private var firstOpen = 0
    private var arrived: Set<Int> = []
    /// How far the run is once all batches up to a number have arrived.
    private var notes: [(number: Int, base: Base)] = []
    private(set) var points = 0

    init(mirror: Mirror<Primary, Secondary>, run: RunID, target: RunID, gate: WriteGate) {
        self.mirror = mirror
        self.run = run
        self.target = target
        self.gate = gate
    }

    /// Returns when the batch is under way.
    ///
    /// - Parameter reached: how far the run is once this batch and all before it are there.
    mutating func send(_ batch: RunBatch, _ group: inout Group, reached: () -> Base) async throws {
        try await gate.open()
        while inFlight >= Self.width { try await takeOne(&group) }
        let number = next
        next += 1
        inFlight += 1
        if number % Self.batchesPerNote == Self.batchesPerNote - 1, mirror.secondary.dialect.metricsAreIdempotent {
            notes.append((number, reached()))
        }
        let (secondary, target) = (mirror.secondary, target)
        group.addTask {
            try await secondary.logBatch(batch, toRun: target)
            return Sent(number: number, points: batch.metrics.count)
        }
    }

    /// Returns when all have arrived.
    mutating func drain(_ group: inout Group) async throws {
        while inFlight > 0 { try await takeOne(&group) }
    }

    /// The last batch goes alone: two at once could leave an older point as the latest.
    mutating func sendLast(_ batch: RunBatch?, _ group: inout Group) async throws {
        try await drain(&group)
        guard let batch else { return }
        try await gate.open()
        try await mirror.secondary.logBatch(batch, toRun: target)
        count(batch.metrics.count)
    }

    private mutating func takeOne(_ group: inout Group) async throws {
        guard let sent = try await group.next() else { return }
        inFlight -= 1
        count(sent.points)
        arrived.insert(sent.number)
        while arrived.remove(firstOpen) != nil { firstOpen += 1 }
        while let note = notes.first, note.number < firstOpen {
            notes.removeFirst()
            try mirror.state.save(note.base, of: .run, run.rawValue)
        }
    }

    private mutating func count(_ sent: Int) {
        points += sent
        mirror.board.count { $0.metricPoints += sent }
    }
}
