// The statements of a batch, one after the other, with their parameter rows.

internal import DatabaseContract
internal import WireProtocol

/// A batch of a request, and how far its driver has come.
///
/// - Thread: that of the run.
struct BatchSource {
    let request: BatchRequest
    struct Step {
        var sql: UnsafeRawBufferPointer
        var parameters: ParameterList
        var position: BatchPosition
    }

    private var statements: BatchReader
    private var statementIndex = -1
    private var sql = UnsafeRawBufferPointer(start: nil, count: 0)
    private var rows: ParameterRowReader?
    private var rowIndex = -1

    init(_ request: BatchRequest) {
        self.request = request
        statements = request.makeReader()
    }

    /// Goes back to the first statement.
    mutating func rewind() { self = BatchSource(request) }

    /// The text of the first statement; `nil` if there is none.
    var firstSQL: UnsafeRawBufferPointer? {
        var copy = BatchSource(request)
        return copy.next()?.sql
    }

    /// The next statement with one row of its parameters; `nil` behind the last one.
    mutating func next() -> Step? {
        while true {
            if let parameters = rows?.next() {
                rowIndex += 1
                return Step(
                    sql: sql, parameters: parameters,
                    position: BatchPosition(statementIndex: statementIndex, rowIndex: rowIndex))
            }
            rows = nil
            guard let statement = statements.next() else { return nil }
            statementIndex += 1
            sql = statement.sql
            switch statement.parameters {
            case .once(let parameters):
                return Step(
                    sql: sql, parameters: parameters,
                    position: BatchPosition(statementIndex: statementIndex, rowIndex: nil))
            case .rows(let list):
                rows = list.makeReader()
                rowIndex = -1
            }
        }
    }
}
