# SPDX-License-Identifier: MPL-2.0
"""Common English words of one to three syllables (a few of four) that are not in Speech Commands.

They extend `_unknown_` beyond the words of the recordings.
"""

_TEXT = """
able about above across add after again age ago air all allow almost alone along
always amount anger animal answer apple april area arm army around arrive art ask
august autumn away baby back bad bag ball banana band bank bar base basic basket
bath beach bear beat beautiful become before began behind believe bell below
beside best better between big bill blood blow blue board boat body bone book born
both bottle bottom box boy bread break breakfast bridge bright bring broken
brother brown build burn busy butter button buy call camera camp capital captain
car card care carry case castle catch cause center certain chair chance change
chicken child choose church circle city class clean clear clock close cloud coat
coffee cold color come common company complete computer control cook copy corner
cotton count country course cover cow cross cry cup current cut dance danger dark
daughter day dead dear december decide deep deliver depend desert desk detail
develop different dinner direct discover distance doctor dollar door double dream
dress drink drive drop during ear early earth east easy eat edge effect egg eleven
else empty end enemy energy engine england enjoy enough enter even evening ever
every example excite expect eye face fact family famous far farm fast father favor
february feed feel fellow field fight figure fill final find finger finish fire
fish flat floor flower fly food foot force foreign forest forget fork form freedom
fresh friday friend from front fruit full funny game garden gather general gentle
girl give glad glass gold good grand grass gray great green ground group grow
guess guide guitar hair half hand hard hat have head hear heart heavy helicopter
hello help here hill history hold hole holiday home honey hope horse hospital hot
hour human hundred hungry hurry ice idea imagine important inch include increase
indicate industry insect inside instrument interest iron island january job join
july jump june jungle just keep key kind king kitchen knee knife ladder lady lake
lamp language large last late laugh law leader leaf leather legal lemon lesson
letter level library lift light line lion liquid listen little live locate london
long lost loud love lucky machine magic major make manner many map march mark
market master matter maybe meadow mean measure meat medicine melody member memory
metal method middle milk million minute mirror modern moment monday money monkey
month moon morning mother motion mountain mouth move much music nation nature near
necessary neck need never night noise north nose nothing notice november number
object ocean october offer office often oil old only open orange order other
outside over own oxygen page paint pair paper parent party pass past pattern pay
peace pencil people perfect perhaps person phone picture piece pilot place plain
planet plant plastic plate play please pocket poem point police poor position
possible potato pound power practice prepare present president press pretty print
prison problem process produce promise proper protect provide public purple push
quarter question quick quiet rabbit radio rain raise rather reach ready real
reason receive record region remember repeat reply report result return rich ride
ring river road rock roll room root rope rose round rubber rule run safe salt same
sand saturday save school science sea season second secret section seed seem
sentence separate september serve settle several shape share sharp shirt shoe shop
short shoulder shout sight silent silver similar simple since sing sister size
skin sleep slow small smell smile snow soft soldier solution some song soon sound
south space speak special speech spell spend spoon spring square stand star
station stay steam steel story strange street strong student study subject success
sudden suffer sugar suggest summer sunday supper supply support sure surface
surprise sweet swim symbol system table talk teach team telephone ten test thank
theater then thick thing think thirty thousand throw thunder thursday ticket tiger
time tiny today together tomato tomorrow tonight tooth touch toward town traffic
train travel triangle trouble truck trust tuesday turkey twenty umbrella uncle
under universe until valley value vanilla village violin visit voice volume wagon
wait walk wall war warm wash watch water weather wednesday week weight welcome
west wheel when whether white window winter wisdom with without woman wonder wood
word work world yellow yesterday young
"""

COMMON_WORDS = tuple(_TEXT.split())
