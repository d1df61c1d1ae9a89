<?php
// client.php ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's PHP library.

declare(strict_types=1);
error_reporting(E_ALL & ~E_DEPRECATED); // the library is older than this PHP

spl_autoload_register(function (string $class): void {
    [$space, $path] = explode('\\', $class, 2) + [1 => ''];
    $folder = $space === 'Thrift' ? '/usr/lib/php' : getenv('GEN_PHP') . "/$space";
    $file = "$folder/" . strtr($path, '\\', '/') . '.php';
    if (is_file($file)) {
        require_once $file;
    }
});

use Thrift\Exception\TApplicationException;
use Thrift\Protocol\TBinaryProtocol;
use Thrift\Protocol\TBinaryProtocolAccelerated;
use Thrift\Protocol\TCompactProtocol;
use Thrift\Transport\TBufferedTransport;
use Thrift\Transport\TFramedTransport;
use Thrift\Transport\TSocket;
use ThriftBatchDemo\NotFound;
use ThriftBatchDemo\Point;
use ThriftBatchDemo\UserRequest;
use ThriftBatchInterop\NewerClient;

const UNICODE = "aé€𝄞 日本語 \n\t";
const LOWEST = PHP_INT_MIN;

function connect(string $address, string $transport, string $protocol): NewerClient
{
    [$host, $port] = explode(':', $address);
    $socket = new TSocket($host, (int)$port);
    $socket->setSendTimeout(20000);
    $socket->setRecvTimeout(20000);
    $wrapped = $transport === 'framed' ? new TFramedTransport($socket)
        : new TBufferedTransport($socket);
    $spoken = match ($protocol) {
        'binary' => new TBinaryProtocol($wrapped, true, true),
        'binary-old' => new TBinaryProtocol($wrapped, false, false),
        'binary-accelerated' => new TBinaryProtocolAccelerated($wrapped, true, true),
        'compact' => new TCompactProtocol($wrapped),
    };
    $wrapped->open();
    return new NewerClient($spoken);
}

function equal(mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        $show = fn ($value) => substr(json_encode($value, JSON_PARTIAL_OUTPUT_ON_ERROR), 0, 200);
        throw new Exception("got {$show($got)}, wanted {$show($wanted)}");
    }
}

function thrown(string $class, callable $call): Throwable
{
    try {
        $call();
    } catch (Throwable $error) {
        if ($error instanceof $class) {
            return $error;
        }
        throw $error;
    }
    throw new Exception('did not throw');
}

function points(array $pairs): array
{
    return array_map(fn ($pair) => new Point(['x' => $pair[0], 'y' => $pair[1]]), $pairs);
}

function pairs(array $points): array
{
    return array_map(fn ($point) => [$point->x, $point->y], $points);
}

function is_user(?object $user, int $id, string $token): void
{
    equal([$user?->id, $user?->name, $user?->active, $user?->token],
        [$id, "user-$id", $id % 10 !== 0, $token]);
}

function are_users(array $users, array $ids, string $token): void
{
    ksort($users);
    equal(array_keys($users), $ids);
    foreach ($users as $id => $user) {
        is_user($user, $id, $token);
    }
}

function is_missing(callable $call, int $id): void
{
    $error = thrown(NotFound::class, $call);
    equal([$error->id, $error->reason], [$id, "there is no user $id"]);
}

function answer_to_everything(NewerClient $client, array $other): array
{
    $values = array_merge(['token' => 't', 'aBool' => true, 'aByte' => 1, 'anI16' => 2,
        'anI32' => 3, 'anI64' => 4, 'aDouble' => 5.5, 'aString' => 'text',
        'aBinary' => "\0\1\xfe\xff", 'aList' => [1, 2, 3], 'aSet' => ['a' => true, 'b' => true],
        'aMap' => ['one' => 1], 'aStruct' => [[0.5, -0.25]],
        'structs' => [[1.0, 2.0], [3.0, 4.0]]], $other);
    $arguments = array_values(array_merge($values,
        ['aStruct' => points($values['aStruct'])[0], 'structs' => points($values['structs'])]));
    $got = get_object_vars($client->everything(...$arguments));
    $got['aStruct'] = pairs([$got['aStruct']]);
    $got['structs'] = pairs($got['structs']);
    return [$values, $got];
}

function everything(array $other = []): callable
{
    return function (NewerClient $client) use ($other): void {
        [$values, $got] = answer_to_everything($client, $other);
        foreach (['aSet', 'aMap'] as $unordered) {
            ksort($values[$unordered]);
            ksort($got[$unordered]);
        }
        foreach ($values as $name => $value) {
            equal($got[$name], $value);
        }
    };
}

function echoes(string $token): callable
{
    return fn (NewerClient $client) => equal($client->echo($token), $token);
}

function double(callable $same, float $value): callable
{
    return fn (NewerClient $client) =>
        equal($same(answer_to_everything($client, ['aDouble' => $value])[1]['aDouble']), true);
}

function unheard_of(array $named, array $numbers): callable
{
    return function (NewerClient $client) use ($named, $numbers): void {
        $error = thrown(TApplicationException::class, fn () => $client->unheardOf(
            [true, false, true], $named, [[[[[[true, false], []]]]]], $numbers));
        equal($error->getCode(), TApplicationException::UNKNOWN_METHOD);
    };
}

$all_bytes = implode('', array_map('chr', range(0, 255)));
$checks = [
    'echo-ascii' => echoes('hello'),
    'echo-empty' => echoes(''),
    'echo-unicode' => echoes(UNICODE),
    'echo-long' => echoes(str_repeat('0123456789', 10000)),
    'get-user' => fn ($client) => is_user($client->getUser('t', 7), 7, 't'),
    'get-user-inactive' => fn ($client) => is_user($client->getUser('t', 10), 10, 't'),
    'get-user-last' => fn ($client) => is_user($client->getUser('é', 1000000), 1000000, 'é'),
    'get-user-missing' => fn ($client) => is_missing(fn () => $client->getUser('t', -5), -5),
    'get-users' => fn ($client) => are_users($client->getUsers('t', [1, 2, 10, 0]), [1, 2, 10], 't'),
    'get-users-empty' => fn ($client) => are_users($client->getUsers('t', []), [], 't'),
    'find-user' => fn ($client) => is_user($client->findUser(42), 42, ''),
    'find-user-missing' => fn ($client) => is_missing(fn () => $client->findUser(LOWEST), LOWEST),
    'find-users' => fn ($client) => are_users($client->findUsers([5, 6, -1]), [5, 6], ''),
    'get-user-batch' => function ($client) {
        $got = $client->getUserBatch([new UserRequest(['token' => 'a', 'id' => 1]),
            new UserRequest(['token' => 'b', 'id' => -1]),
            new UserRequest(['token' => 'c', 'id' => 2])]);
        equal(count($got), 3);
        is_user($got[0]->user, 1, 'a');
        equal([$got[1]->user, $got[1]->missing?->id], [null, -1]);
        is_user($got[2]->user, 2, 'c');
    },
    'touch' => fn ($client) => equal($client->touch('t'), null),
    'log-oneway' => function ($client) {
        $before = $client->logged();
        for ($i = 0; $i < 3; $i++) {
            $client->log('line');
        }
        equal($client->logged(), $before + 3);
    },
    'everything-typical' => everything(),
    'bool-false' => everything(['aBool' => false]),
    'byte-min' => everything(['aByte' => -128]),
    'byte-max' => everything(['aByte' => 127]),
    'i16-min' => everything(['anI16' => -32768]),
    'i16-max' => everything(['anI16' => 32767]),
    'i32-min' => everything(['anI32' => -2147483648]),
    'i32-max' => everything(['anI32' => 2147483647]),
    'i64-min' => everything(['anI64' => PHP_INT_MIN]),
    'i64-max' => everything(['anI64' => PHP_INT_MAX]),
    'double-max' => everything(['aDouble' => PHP_FLOAT_MAX]),
    'double-tiny' => everything(['aDouble' => 5e-324]),
    'double-minus-zero' => double(fn ($got) => $got === -0.0 && fdiv(1, $got) === -INF, -0.0),
    'double-nan' => double('is_nan', NAN),
    'double-infinity' => everything(['aDouble' => INF]),
    'double-minus-infinity' => everything(['aDouble' => -INF]),
    'string-empty' => everything(['aString' => '']),
    'string-unicode' => everything(['aString' => UNICODE]),
    'binary-empty' => everything(['aBinary' => '']),
    'binary-all' => everything(['aBinary' => $all_bytes]),
    'list-empty' => everything(['aList' => []]),
    'list-long' => everything(['aList' => range(-1000, 999)]),
    'set-empty' => everything(['aSet' => []]),
    'set-long' => everything(['aSet' => array_fill_keys(range(0, 99), true)]),
    'map-empty' => everything(['aMap' => []]),
    'map-values' => everything(['aMap' => ['' => 0, 'é' => PHP_INT_MIN, 'max' => PHP_INT_MAX]]),
    'structs-empty' => everything(['structs' => []]),
    'structs-long' => everything(['structs' =>
        array_map(fn ($i) => [(float)$i, (float)-$i], range(0, 99))]),
    'fail' => function ($client) {
        $error = thrown(TApplicationException::class, fn () => $client->fail('é'));
        equal([$error->getCode(), $error->getMessage()], [6, 'failed as asked: é']);
    },
    'after-fail' => echoes('still there'),
    'blob-empty' => fn ($client) => equal($client->blob('', 0), ''),
    'blob-grown' => fn ($client) => equal($client->blob('abc', 10), 'abcabcabca'),
    'blob-1mib' => function ($client) use ($all_bytes) {
        $payload = str_repeat($all_bytes, 4096);
        equal($client->blob($payload, strlen($payload)) === $payload, true);
    },
    'wait' => fn ($client) => equal($client->wait('t', 20), 't'),
    'append-lines' => function ($client) {
        $journal = getmypid() . '-' . hrtime(true);
        foreach (['one', 'two', 'é'] as $position => $line) {
            equal($client->append($journal, $line), $position);
        }
        equal($client->lines($journal), ['one', 'two', 'é']);
    },
    'unheard-of' => unheard_of([], ['one' => 1]),
    'unheard-of-bool-map' => unheard_of(['yes' => true, 'no' => false], []),
    'after-unheard-of' => echoes('still there'),
    'many-calls' => function ($client) {
        for ($i = 0; $i < 200; $i++) {
            equal($client->echo("token $i"), "token $i");
        }
    },
    'in-flight' => function ($client) {
        for ($i = 0; $i < 100; $i++) {
            $client->send_echo("token $i");
        }
        for ($i = 0; $i < 100; $i++) {
            equal($client->recv_echo(), "token $i");
        }
    },
    'stats' => fn ($client) => equal($client->stats()->calls >= 200, true),
];

$client = null;
foreach ($checks as $name => $check) {
    try {
        $client ??= connect($argv[1], $argv[2], $argv[3]);
        $check($client);
        echo "ok $name\n";
    } catch (Throwable $error) {
        $why = $error::class . ': ' . $error->getMessage();
        echo "not ok $name: ", strtr($why, "\n", ' '), "\n";
        $client = null; // whatever is left on that connection is no business of the next check
    }
}
