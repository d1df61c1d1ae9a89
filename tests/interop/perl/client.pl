# client.pl ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's Perl library.
# All strings are bytes here: the library encodes what it is given, but decodes nothing.

use 5.10.0;
use strict;
use warnings;

use Scalar::Util qw(blessed);
use Thrift;
use Thrift::BinaryProtocol;
use Thrift::BufferedTransport;
use Thrift::FramedTransport;
use Thrift::Socket;
use Time::HiRes;
use ThriftBatchInterop::Newer;

my $unicode = "aé€𝄞 日本語 \n\t";
my $all_bytes = pack('C*', 0 .. 255);
my $lowest = -9223372036854775808;
my $infinity = 9**9**9;
my @arguments = qw(token aBool aByte anI16 anI32 anI64 aDouble aString aBinary aList aSet aMap
    aStruct structs);
my %typical = (
    token => 't', aBool => 1, aByte => 1, anI16 => 2, anI32 => 3, anI64 => 4, aDouble => 5.5,
    aString => 'text', aBinary => "\0\1\xfe\xff", aList => [1, 2, 3], aSet => ['a', 'b'],
    aMap => {one => 1}, aStruct => point(0.5, -0.25), structs => [point(1, 2), point(3, 4)],
);

sub connect_to {
    my ($address, $transport, $protocol) = @_;
    my ($host, $port) = split(/:/, $address);
    my $socket = Thrift::Socket->new($host, $port);
    $socket->setSendTimeout(20000);
    $socket->setRecvTimeout(20000);
    my $wrapped = $transport eq 'framed' ? Thrift::FramedTransport->new($socket)
        : Thrift::BufferedTransport->new($socket);
    die "no protocol $protocol" if $protocol ne 'binary';
    my $client = ThriftBatchInterop::NewerClient->new(Thrift::BinaryProtocol->new($wrapped));
    $wrapped->open();
    return $client;
}

# What a value is, as text: to be compared.
sub shown {
    my ($value) = @_;
    return 'undef' if !defined $value;
    return '[' . join(', ', map { shown($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(', ', map { "$_: " . shown($value->{$_}) } sort keys %$value) . '}'
        if ref $value;
    return "$value";
}

sub equal {
    my ($got, $wanted) = map { shown($_) } @_;
    die sprintf("got %.200s, wanted %.200s\n", $got, $wanted) if $got ne $wanted;
}

sub thrown {
    my ($class, $call) = @_;
    my $got = eval { $call->() };
    my $error = $@;
    die "returned " . shown($got) . "\n" if !$error;
    die $error if !(blessed($error) && $error->isa($class));
    return $error;
}

sub point {
    my ($x, $y) = @_;
    return ThriftBatchDemo::Point->new({x => $x, y => $y});
}

sub user {
    my ($id, $token) = @_;
    return {id => $id, name => "user-$id", active => $id % 10 != 0, token => $token};
}

sub users {
    my ($token, @ids) = @_;
    return {map { $_ => user($_, $token) } @ids};
}

sub missing {
    my ($id, $call) = @_;
    my $error = thrown('ThriftBatchDemo::NotFound', $call);
    equal([$error->{id}, $error->{reason}], [$id, "there is no user $id"]);
}

sub everything {
    my %values = (%typical, @_);
    return sub {
        my ($client) = @_;
        my $got = $client->everything(@values{@arguments});
        # A set is given as a list and comes back as a hash.
        my %wanted = (%values, aSet => {map { $_ => 1 } @{$values{aSet}}});
        equal($got->{$_}, $wanted{$_}) for @arguments;
    };
}

sub echo {
    my ($token) = @_;
    return sub { equal($_[0]->echo($token), $token) };
}

sub unheard_of {
    my ($named, $numbers) = @_;
    return sub {
        my ($client) = @_;
        my $error = thrown('Thrift::TApplicationException', sub {
            $client->unheardOf([1, 0, 1], $named, [[[[[[1, 0], []]]]]], $numbers);
        });
        equal($error->{code}, 1);
    };
}

sub get_user_batch {
    my ($client) = @_;
    my $got = $client->getUserBatch([map { ThriftBatchDemo::UserRequest->new($_) }
        {token => 'a', id => 1}, {token => 'b', id => -1}, {token => 'c', id => 2}]);
    equal([map { $_->{user} } @$got], [user(1, 'a'), undef, user(2, 'c')]);
    equal([map { $_->{missing} && $_->{missing}{id} } @$got], [undef, -1, undef]);
}

sub log_oneway {
    my ($client) = @_;
    my $before = $client->logged();
    $client->log('line') for 1 .. 3;
    equal($client->logged(), $before + 3);
}

sub fails {
    my ($client) = @_;
    my $error = thrown('Thrift::TApplicationException', sub { $client->fail('é') });
    equal([$error->{code}, $error->{message}], [6, 'failed as asked: é']);
}

sub blob_1mib {
    my ($client) = @_;
    my $payload = $all_bytes x 4096;
    die "another payload\n" if $client->blob($payload, length $payload) ne $payload;
}

sub append_lines {
    my ($client) = @_;
    my $journal = "$$-" . Time::HiRes::time();
    my @lines = qw(one two é);
    equal($client->append($journal, $lines[$_]), $_) for 0 .. 2;
    equal($client->lines($journal), \@lines);
}

sub many_calls {
    my ($client) = @_;
    equal($client->echo("token $_"), "token $_") for 1 .. 200;
}

sub in_flight {
    my ($client) = @_;
    $client->send_echo("token $_") for 1 .. 100;
    equal($client->recv_echo(), "token $_") for 1 .. 100;
}

my @checks = (
    'echo-ascii' => echo('hello'),
    'echo-empty' => echo(''),
    'echo-unicode' => echo($unicode),
    'echo-long' => echo('0123456789' x 10000),
    'get-user' => sub { equal($_[0]->getUser('t', 7), user(7, 't')) },
    'get-user-inactive' => sub { equal($_[0]->getUser('t', 10), user(10, 't')) },
    'get-user-last' => sub { equal($_[0]->getUser('é', 1000000), user(1000000, 'é')) },
    'get-user-missing' => sub { my ($client) = @_; missing(-5, sub { $client->getUser('t', -5) }) },
    'get-users' => sub { equal($_[0]->getUsers('t', [1, 2, 10, 0]), users('t', 1, 2, 10)) },
    'get-users-empty' => sub { equal($_[0]->getUsers('t', []), {}) },
    'find-user' => sub { equal($_[0]->findUser(42), user(42, '')) },
    'find-user-missing' =>
        sub { my ($client) = @_; missing($lowest, sub { $client->findUser($lowest) }) },
    'find-users' => sub { equal($_[0]->findUsers([5, 6, -1]), users('', 5, 6)) },
    'get-user-batch' => \&get_user_batch,
    'touch' => sub { $_[0]->touch('t') },
    'log-oneway' => \&log_oneway,
    'everything-typical' => everything(),
    'bool-false' => everything(aBool => !1),
    'byte-min' => everything(aByte => -128),
    'byte-max' => everything(aByte => 127),
    'i16-min' => everything(anI16 => -32768),
    'i16-max' => everything(anI16 => 32767),
    'i32-min' => everything(anI32 => -2147483648),
    'i32-max' => everything(anI32 => 2147483647),
    'i64-min' => everything(anI64 => $lowest),
    'i64-max' => everything(anI64 => 9223372036854775807),
    'double-max' => everything(aDouble => 1.7976931348623157e308),
    'double-tiny' => everything(aDouble => 5e-324),
    'double-minus-zero' => everything(aDouble => -1 / $infinity),
    'double-nan' => everything(aDouble => abs($infinity / $infinity)),
    'double-infinity' => everything(aDouble => $infinity),
    'double-minus-infinity' => everything(aDouble => -$infinity),
    'string-empty' => everything(aString => ''),
    'string-unicode' => everything(aString => $unicode),
    'binary-empty' => everything(aBinary => ''),
    'binary-all' => everything(aBinary => $all_bytes),
    'list-empty' => everything(aList => []),
    'list-long' => everything(aList => [-1000 .. 999]),
    'set-empty' => everything(aSet => []),
    'set-long' => everything(aSet => [0 .. 99]),
    'map-empty' => everything(aMap => {}),
    'map-values' => everything(aMap => {'' => 0, 'é' => $lowest, max => 9223372036854775807}),
    'structs-empty' => everything(structs => []),
    'structs-long' => everything(structs => [map { point($_, -$_) } 0 .. 99]),
    'fail' => \&fails,
    'after-fail' => echo('still there'),
    'blob-empty' => sub { equal($_[0]->blob('', 0), '') },
    'blob-grown' => sub { equal($_[0]->blob('abc', 10), 'abcabcabca') },
    'blob-1mib' => \&blob_1mib,
    'wait' => sub { equal($_[0]->wait('t', 20), 't') },
    'append-lines' => \&append_lines,
    'unheard-of' => unheard_of({}, {one => 1}),
    'unheard-of-bool-map' => unheard_of({yes => 1, no => 0}, {}),
    'after-unheard-of' => echo('still there'),
    'many-calls' => \&many_calls,
    'in-flight' => \&in_flight,
    'stats' => sub { equal($_[0]->stats()->{calls} >= 200, 1) },
);

$| = 1;
my $client;
while (my ($name, $check) = splice(@checks, 0, 2)) {
    next if eval {
        $client //= connect_to(@ARGV);
        $check->($client);
        say "ok $name";
    };
    my $why = blessed($@) ? ref($@) . ': ' . ($@->{message} // shown($@)) : $@;
    say "not ok $name: ", $why =~ tr/\n/ /r;
    undef $client;    # whatever is left on that connection is no business of the next check
}
