public struct RegisteredModel: Sendable, Hashable {
    public var name: ModelName
    public var description: String
    public var creationTime: Int64?
    public var lastUpdateTime: Int64?
    public var tags: [Tag]
    /// Alias to version number.
    public var aliases: [String: Int]
    static let promptTag = "mlflow.prompt.is_prompt"
    /// A prompt is kept in the registry as a model; it is none.
    public var isPrompt: Bool { tags.contains { $0.key == Self.promptTag && $0.value.lowercased() == "true" } }

    public init(
        name: ModelName, description: String = "", creationTime: Int64? = nil, lastUpdateTime: Int64? = nil, tags: [Tag] = [],
        aliases: [String: Int] = [:]
    ) {
        self.name = name
        self.description = description
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.tags = tags
        self.aliases = aliases
    }
}

public struct ModelVersion: Sendable, Hashable {
    public var model: ModelName
    /// From 1; numbers of deleted versions are not used again.
    public var number: Int
    public var source: String
    public var run: RunID?
    public var runLink: String?
    public var loggedModel: LoggedModelID?
    public var userID: String?
    public var stage: String
    public var description: String
    public var status: String
    public var tags: [Tag]

    public init(
        model: ModelName, number: Int, source: String, run: RunID? = nil, runLink: String? = nil, loggedModel: LoggedModelID? = nil,
        userID: String? = nil, stage: String = "None", description: String = "", status: String = "READY", tags: [Tag] = []
    ) {
        self.model = model
        self.number = number
        self.source = source
        self.run = run
        self.runLink = runLink
        self.loggedModel = loggedModel
        self.userID = userID
        self.stage = stage
        self.description = description
        self.status = status
        self.tags = tags
    }

    /// Its files are not there yet.
    public var isPending: Bool { status == "PENDING_REGISTRATION" }
}
