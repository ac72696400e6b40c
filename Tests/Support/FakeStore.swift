public import Replication

/// An MLflow store in memory, with an MLflow server's semantics: restoring an experiment revives all its runs, a deleted run refuses
/// writes, version numbers are never used again, sending a metric point twice leaves one.
///
/// A hook fails chosen operations before or after they are done; every write is logged, also the failed ones.
public final class FakeStore: WritableStore {
    /// One call, as the fault hook and the log see it: the function's name, and what it was about.
    public struct Operation: Sendable, Hashable, CustomStringConvertible {
        public var name: String
        public var target: String
        public var isWrite: Bool
        /// What a write carried, for assertions; "" where the target says it all.
        public var detail: String
        public init(name: String, target: String, isWrite: Bool, detail: String = "") {
            self.name = name
            self.target = target
            self.isWrite = isWrite
            self.detail = detail
        }
        public var description: String { detail.isEmpty ? "\(name) \(target)" : "\(name) \(target): \(detail)" }
    }

    public enum Fault: Sendable {
        /// Nothing is done.
        case before(StoreError)
        /// It is done, and the caller is told that it failed. Have the error say `isInDoubt`.
        case after(StoreError)

        /// The answer was lost on its way.
        public static let answerLost = Fault.after(StoreError(.retry(after: nil), .unreachable, isInDoubt: true, "the answer was lost"))
        public static let unreachable = Fault.before(StoreError(.retry(after: nil), .unreachable, "the store is not there"))
    }

    /// What lies between a client and its stores: time, and whatever can happen to a request and its answer.
    public protocol Passage: Sendable {
        /// Before the operation is done.
        ///
        /// - Returns: the way of the answer, once it is done.
        /// - Throws: what keeps it from being done.
        /// - Throws: what keeps it from being done; `Late` when it is done all the same, later.
        func request(_ operation: Operation, at store: String) async throws -> @Sendable () async throws -> Void
    }
    /// The client is told something else, or is no more, while its request is on its way.
    public struct Late: Error {
        public var error: any Error
        public var arrival: @Sendable () async -> Void
        public init(_ error: any Error, arrival: @escaping @Sendable () async -> Void) {
            self.error = error
            self.arrival = arrival
        }
    }
    /// Of the client whose task this is; nil: every call is done at once.
    @TaskLocal public static var passage: (any Passage)?

    struct RunRecord: Sendable {
        var run: Run
        var history: [String: Set<PointKey>] = [:]
        /// How often a point was sent that was there already: a store that is not idempotent has it twice.
        var doubled = 0
    }

    /// MLflow's primary key of a metric row: NaN is value 0 with a mark.
    struct PointKey: Hashable, Sendable {
        var timestamp: Int64
        var step: Int64
        var value: Double
        var isNaN: Bool
    }

    struct ModelRecord: Sendable, Equatable {
        var model: RegisteredModel
        var versions: [Int: ModelVersion] = [:]
        var lastNumber = 0
    }

    struct State: Sendable {
        var unknownFields: [String: Int] = [:]
        var experiments: [ExperimentID: Experiment] = [:]
        var runs: [RunID: RunRecord] = [:]
        var loggedModels: [LoggedModelID: LoggedModel] = [:]
        var deletedLoggedModels: Set<LoggedModelID> = []
        var registered: [ModelName: ModelRecord] = [:]
        var files: [ArtifactOwner.ID: [String: [UInt8]]] = [:]
        var hasReplacedFiles = false
        var nextExperiment = 1
        var nextID: UInt64 = 0
        var now: Int64 = 1_700_000_000_000
        var log: [Operation] = []
        var fault: (@Sendable (Operation) -> Fault?)?
        var lie: (@Sendable (Operation) -> Lie?)?
        var remembered: [Operation: any Sendable] = [:]
        /// What every write has changed, as triggers in its database would note it; nil: not noted.
        var journal: [Change]?
        /// Traces by experiment: counted, never copied.
        var traces: [ExperimentID: Int] = [:]
        /// Whose files this store's storage fetches by itself.
        var fetchesFrom: FakeStore?
        /// Files of this store by the addresses that were given for them.
        var given: [String: [UInt8]] = [:]
        /// A page of experiments begins with the last one of the page before it.
        var pagesOverlap = false

        /// Every write happens a millisecond after the last.
        mutating func tick() -> Int64 {
            now += 1
            return now
        }
    }

    public let name: String
    public let dialect: Dialect
    /// At most this many entities a listing's page, whatever is asked for.
    public let pageSize: Int
    private let salt: UInt64
    let state = Locked(State())

    public init(name: String = "fake", dialect: Dialect = .mlflow, pageSize: Int = 1000) {
        self.name = name
        self.dialect = dialect
        self.pageSize = max(1, pageSize)
        salt = name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        state.withLock { state in
            let id = ExperimentID("0")
            state.experiments[id] = Experiment(
                id: id, name: "Default", artifactLocation: "mlflow-artifacts:/0", creationTime: state.now, lastUpdateTime: state.now)
        }
    }

    /// A store of its own with the same content.
    public func copy() -> FakeStore {
        let copy = FakeStore(name: name, dialect: dialect, pageSize: pageSize)
        let now = state.withLock { $0 }
        copy.state.withLock { $0 = now }
        return copy
    }

    // MARK: - What a test turns and looks at

    /// Asked before every operation, reads too; nil lets it pass.
    public func setFault(_ fault: (@Sendable (Operation) -> Fault?)?) { state.withLock { $0.fault = fault } }

    /// The writes that were tried, in order.
    public var writes: [Operation] { state.withLock { $0.log } }
    public func forgetWrites() { state.withLock { $0.log = [] } }

    /// The store's clock, in milliseconds since 1970.
    public var now: Int64 {
        get { state.withLock { $0.now } }
        set { state.withLock { $0.now = newValue } }
    }

    /// Removes a deleted run for good, as `mlflow gc` does.
    public func collect(_ id: RunID) { state.withLock { _ = $0.runs.removeValue(forKey: id) } }

    public func collect(_ id: ExperimentID) {
        state.withLock { state in
            state.experiments[id] = nil
            for (run, record) in state.runs where record.run.experiment == id { state.runs[run] = nil }
        }
    }

    /// Restores an experiment and its runs amid another operation.
    public func revive(_ id: ExperimentID) {
        state.withLock { state in
            state.experiments[id]?.lifecycle = .active
            for (run, record) in state.runs where record.run.experiment == id { state.runs[run]?.run.lifecycle = .active }
        }
    }

    /// Every file of one owner.
    public func files(of owner: ArtifactOwner.ID) -> [String: [UInt8]] { state.withLock { $0.files[owner] ?? [:] } }

    public func setUnknownFields(_ fields: [String: Int]) { state.withLock { $0.unknownFields = fields } }
    public var unknownFields: [String: Int] { state.withLock { $0.unknownFields } }

    /// As a newer server shows them.
    public func setUnknown(_ fields: [UnknownField], of run: RunID) { state.withLock { $0.runs[run]?.run.unknown = fields } }
    public func setUnknown(_ fields: [UnknownField], of model: LoggedModelID) {
        state.withLock { $0.loggedModels[model]?.unknown = fields }
    }

    /// As a store lists them that knows no order that stays.
    public func letPagesOverlap() { state.withLock { $0.pagesOverlap = true } }

    /// As a store shows it that takes another point for the last: its history stays.
    public func showAsLatest(_ point: MetricPoint, of metric: String, in run: RunID) {
        state.withLock { state in
            guard let at = state.runs[run]?.run.latestMetrics.firstIndex(where: { $0.key == metric }) else { return }
            state.runs[run]?.run.latestMetrics[at].point = point
        }
    }

    public func setTraces(_ count: Int, in experiment: ExperimentID) { state.withLock { $0.traces[experiment] = count } }

    /// Puts other bytes in a file's place, without a write that the log would show.
    public func replace(_ path: String, of owner: ArtifactOwner.ID, with bytes: [UInt8]) {
        state.withLock { $0.files[owner, default: [:]][path] = bytes }
    }

    /// Loses the point of the lowest step, without a write that the log would show.
    public func losePoint(of run: RunID, metric: String) {
        state.withLock { state in
            guard let point = state.runs[run]?.history[metric]?.min(by: { $0.step < $1.step }) else { return }
            state.runs[run]?.history[metric]?.remove(point)
        }
    }

    // MARK: - One operation

    func perform<R: Sendable>(
        _ name: String, _ target: String, isWrite: Bool = true, detail: String = "",
        _ body: @escaping @Sendable (inout State) throws(StoreError) -> R
    ) async throws -> R {
        try Task.checkCancellation()
        let operation = Operation(name: name, target: target, isWrite: isWrite, detail: detail)
        let hook = state.withLock { state in
            if isWrite { state.log.append(operation) }
            return state.fault
        }
        let answer: (@Sendable () async throws -> Void)?
        do { answer = try await Self.passage?.request(operation, at: self.name) } catch let late as Late {
            // Nobody waits for it any more.
            Task {
                await late.arrival()
                _ = try? carryOut(operation, body)
            }
            throw late.error
        }
        // The hook runs outside the lock: it may look at the store.
        let fault = hook?(operation)
        if case .before(let error) = fault { throw error }
        let result = try carryOut(operation, body)
        if case .after(let error) = fault { throw error }
        try await answer?()
        return result
    }

    private func carryOut<R: Sendable>(_ operation: Operation, _ body: (inout State) throws(StoreError) -> R) throws -> R {
        try state.withLock { state throws(StoreError) in
            if let lie = Self.passage == nil ? nil : state.lie?(operation) { return try state.tell(lie, operation, body) }
            guard operation.isWrite, state.journal != nil else { return try body(&state) }
            let before = state
            let result = try body(&state)
            state.note(changesSince: before)
            return result
        }
    }

    func read<R: Sendable>(
        _ name: String, _ target: String, _ body: @escaping @Sendable (inout State) throws(StoreError) -> R
    ) async throws -> R {
        try await perform(name, target, isWrite: false, body)
    }

    /// 32 hexadecimal digits, the same ones for the same sequence of creations.
    func freshID(_ state: inout State) -> String {
        state.nextID += 1
        return Self.hexadecimal(Self.mix(salt &+ state.nextID)) + Self.hexadecimal(Self.mix(salt ^ (state.nextID << 17)))
    }

    private static func mix(_ x: UInt64) -> UInt64 {
        var z = x &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    private static func hexadecimal(_ x: UInt64) -> String {
        let text = String(x, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    func page<Element: Sendable>(_ all: [Element], _ token: PageToken?, size: Int? = nil) throws(StoreError) -> Page<Element> {
        let size = max(1, min(size ?? pageSize, pageSize))
        var start = 0
        if let token {
            guard let offset = Int(token.rawValue), offset >= 0 else {
                throw StoreError(.setAside, .invalid, "\(name): \(token.rawValue) is not a page token")
            }
            start = min(offset, all.count)
        }
        let end = min(start + size, all.count)
        return Page(Array(all[start..<end]), next: end < all.count ? PageToken(rawValue: String(end)) : nil)
    }

    func notFound(_ what: String) -> StoreError { StoreError(.setAside, .notFound, "\(name): no \(what)") }
    func exists(_ what: String) -> StoreError { StoreError(.setAside, .alreadyExists, "\(name): \(what) already exists") }
    func unsupported(_ what: String) -> StoreError { StoreError(.setAside, .unsupported, "\(name): no such call: \(what)") }
    func invalid(_ what: String) -> StoreError { StoreError(.setAside, .invalid, "\(name): \(what)") }
}

extension [Tag] {
    /// The value under one key; keys occur once.
    public subscript(key: String) -> String? {
        get { first { $0.key == key }?.value }
        set {
            removeAll { $0.key == key }
            if let newValue { append(Tag(key, newValue)) }
            sort { $0.key < $1.key }
        }
    }
}
