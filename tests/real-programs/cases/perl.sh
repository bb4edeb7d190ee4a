# needs: perl
# Hashes, regular expressions, sort, sprintf, closures, fork and pipes, XS modules, an END block and die.
. "$LIB"
words 3000 >text
cat >work.pl <<'PL'
use strict; use warnings;
use List::Util qw(sum shuffle reduce); use Digest::SHA qw(sha256_hex); use Storable qw(freeze thaw dclone); use POSIX ();
use Data::Dumper; use Encode; use Time::HiRes ();
my (%count, @lines);
open my $f, '<', 'text' or die; while (<$f>) { chomp; push @lines, $_; $count{$1}++ while /(\w+)/g; } close $f;
print join(",", map { "$_=$count{$_}" } (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0..5]), "\n";
my @sub = map { my $n = $_; sub { $n * shift } } 1..1000;
print sum(map { $sub[$_]->(3) } 0..999), "\n";
my $deep = {}; my $p = $deep; $p = $p->{$_ % 5}{x} //= {} for 1..40;
print length(freeze(dclone($deep))) > 100 ? "deep\n" : "shallow\n";
print sha256_hex(join "\n", sort @lines), "\n";
$Data::Dumper::Sortkeys = 1; print length(Dumper(\%count)), "\n";
for my $i (1..5) {
    my $pid = open(my $k, '-|') // die;
    if (!$pid) { print "child $i ", scalar(reverse "abc$i"), "\n"; exit $i }
    print <$k>; close $k; print "status ", $? >> 8, "\n";
}
my $s = "x" x 100000; $s =~ s/x(x{9})/y$1/g; print length($s), " ", ($s =~ tr/y//), "\n";
print encode("UTF-8", decode("UTF-8", "gr\xc3\xbc\xc3\x9fe")), " ", POSIX::strftime("%Y-%m-%d", gmtime(86400 * 365)), "\n";
eval { die { code => 42 } }; print "died with $@->{code}\n";
my @cycle = map { { n => $_ } } 1..1000; $cycle[$_]{next} = $cycle[($_ + 1) % 1000] for 0..999;
local $SIG{ALRM} = sub { print "alarm\n" }; Time::HiRes::ualarm(20000); select(undef, undef, undef, 0.2);
END { print "end\n" }
exit 7;
PL
set +e; perl work.pl; echo "status $?"; perl -e 'die "with a message\n"'; echo "status $?"
perl -Mthreads -e 'print join(",", map { $_->join } map { my $n = $_; threads->create(sub { my %h = map { $_ => 1 } 1..2000; $n * keys %h }) } 1..6), "\n"'
exit 0
