"""Reference data of the demo hospital: conditions, reasons, items, drugs and operations, with the codes it writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alongside.sandbox.hospital.draws import Floats


@dataclass(frozen=True)
class Condition:
    """A lasting condition. `prevalence`: (age, share) points, interpolated; empty where it is derived otherwise.

    `men`, `women` scale the share; `years` is how long ago it may have been diagnosed at most.
    """

    name: str
    icd10: str
    text: str
    department: str
    topic: str
    prevalence: tuple[tuple[int, float], ...] = ()
    men: float = 1.0
    women: float = 1.0
    years: int = 12

    def share(self, age: Floats) -> Floats:
        """Share of people of each age who have it."""
        if not self.prevalence:
            return np.zeros_like(age)
        ages, shares = zip(*self.prevalence, strict=True)
        return np.asarray(np.interp(age, ages, shares, left=0.0), dtype=np.float64)


#: The order is the numbering of diagnoses and of draws: append, never reorder.
CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "hypertension",
        "I10",
        "原发性高血压",
        "cardiology",
        "hypertension",
        ((18, 0.012), (30, 0.045), (40, 0.17), (50, 0.33), (60, 0.49), (70, 0.59), (80, 0.63)),
    ),
    Condition(
        "diabetes_type_2",
        "E11.9",
        "2型糖尿病",
        "endocrinology",
        "diabetes",
        ((20, 0.005), (35, 0.03), (45, 0.08), (60, 0.17), (75, 0.22)),
    ),
    Condition("prediabetes", "R73.0", "糖尿病前期", "endocrinology", "diabetes", ((25, 0.02), (45, 0.10), (60, 0.14))),
    Condition(
        "hyperlipidemia",
        "E78.5",
        "高脂血症",
        "cardiology",
        "heart_health",
        ((25, 0.04), (40, 0.14), (55, 0.26), (75, 0.30)),
    ),
    Condition(
        "coronary_heart_disease",
        "I25.1",
        "冠状动脉粥样硬化性心脏病",
        "cardiology",
        "heart_health",
        ((40, 0.0), (50, 0.02), (60, 0.06), (75, 0.13)),
        men=1.3,
        women=0.8,
    ),
    Condition("heart_failure", "I50.9", "心力衰竭", "cardiology", "heart_health", ((55, 0.0), (65, 0.015), (80, 0.05))),
    Condition(
        "atrial_fibrillation", "I48.9", "心房颤动", "cardiology", "heart_health", ((45, 0.0), (60, 0.02), (80, 0.08))
    ),
    Condition(
        "stroke",
        "I63.9",
        "脑梗死",
        "cardiology",
        "heart_health",
        ((45, 0.005), (60, 0.03), (80, 0.08)),
        men=1.2,
        women=0.85,
        years=8,
    ),
    Condition(
        "copd",
        "J44.9",
        "慢性阻塞性肺疾病",
        "respiratory",
        "respiratory",
        ((40, 0.015), (60, 0.06), (80, 0.09)),
    ),
    Condition("asthma", "J45.9", "支气管哮喘", "respiratory", "respiratory", ((4, 0.03), (20, 0.025), (80, 0.035))),
    Condition(
        "chronic_kidney_disease",
        "N18.3",
        "慢性肾脏病3期",
        "nephrology",
        "nutrition",
        ((40, 0.01), (60, 0.025), (80, 0.07)),
    ),
    Condition(
        "knee_osteoarthritis",
        "M17.9",
        "膝骨关节炎",
        "orthopaedics",
        "joint_health",
        ((45, 0.03), (55, 0.12), (65, 0.21), (80, 0.28)),
        men=0.65,
        women=1.3,
    ),
    Condition(
        "osteoporosis",
        "M81.9",
        "骨质疏松症",
        "orthopaedics",
        "joint_health",
        ((50, 0.06), (65, 0.22), (80, 0.33)),
        men=0.3,
        women=1.5,
    ),
    Condition("obesity", "E66.9", "肥胖症", "endocrinology", "nutrition"),
    Condition("pregnancy", "Z34.9", "正常妊娠监督", "obstetrics", "pregnancy"),
    Condition(
        "breast_cancer",
        "C50.9",
        "乳腺恶性肿瘤",
        "oncology",
        "cancer_screening",
        ((30, 0.0), (45, 0.012), (60, 0.025), (80, 0.025)),
        men=0.0,
        years=8,
    ),
    Condition(
        "colorectal_cancer",
        "C18.9",
        "结肠恶性肿瘤",
        "oncology",
        "cancer_screening",
        ((40, 0.001), (55, 0.006), (75, 0.015)),
        years=6,
    ),
    Condition(
        "depression",
        "F32.9",
        "抑郁发作",
        "general_practice",
        "sleep",
        ((16, 0.02), (30, 0.035), (75, 0.035)),
        men=0.75,
        women=1.3,
        years=5,
    ),
    Condition(
        "cataract",
        "H25.9",
        "老年性白内障",
        "ophthalmology",
        "eye_health",
        ((50, 0.02), (65, 0.18), (80, 0.40)),
        years=6,
    ),
    Condition(
        "gallstones",
        "K80.2",
        "胆囊结石",
        "gastroenterology",
        "nutrition",
        ((25, 0.02), (50, 0.06), (75, 0.08)),
        women=1.2,
        years=6,
    ),
)
NAMES: tuple[str, ...] = tuple(condition.name for condition in CONDITIONS)
NUMBER: dict[str, int] = {name: number for number, name in enumerate(NAMES)}

#: Conditions that a patient keeps coming back for.
MANAGED: tuple[str, ...] = (
    "hypertension",
    "diabetes_type_2",
    "hyperlipidemia",
    "coronary_heart_disease",
    "heart_failure",
    "atrial_fibrillation",
    "stroke",
    "copd",
    "asthma",
    "chronic_kidney_disease",
    "knee_osteoarthritis",
    "osteoporosis",
    "breast_cancer",
    "colorectal_cancer",
    "depression",
)


@dataclass(frozen=True)
class Reason:
    """Why somebody came: what stands in a visit's icd10, diagnosis and dept columns. `days` until it is over."""

    icd10: str
    text: str
    department: str
    weight: float = 0.0
    days: int = 14


ACUTE: tuple[Reason, ...] = (
    Reason("J06.9", "急性上呼吸道感染", "general_practice", 22),
    Reason("K29.7", "胃炎", "gastroenterology", 12),
    Reason("M54.5", "腰痛", "orthopaedics", 11, 30),
    Reason("L30.9", "皮炎", "general_practice", 8),
    Reason("N39.0", "泌尿道感染", "nephrology", 6),
    Reason("S93.4", "踝关节扭伤", "orthopaedics", 5, 30),
    Reason("R51", "头痛", "general_practice", 7, 7),
    Reason("G47.0", "失眠", "general_practice", 6, 60),
    Reason("J20.9", "急性支气管炎", "respiratory", 9, 21),
    Reason("K59.0", "便秘", "gastroenterology", 5, 21),
    Reason("H10.9", "结膜炎", "ophthalmology", 5, 10),
    Reason("R42", "头晕", "general_practice", 4, 10),
)
SEVERE: tuple[Reason, ...] = (
    Reason("J18.9", "肺炎", "respiratory", 30, 21),
    Reason("K35.8", "急性阑尾炎", "gastroenterology", 14, 21),
    Reason("S72.0", "股骨颈骨折", "orthopaedics", 14, 120),
    Reason("K92.2", "胃肠出血", "gastroenterology", 10, 21),
    Reason("N20.0", "肾结石", "nephrology", 12, 30),
    Reason("A09.9", "胃肠炎", "gastroenterology", 20, 10),
)
OTHER: tuple[Reason, ...] = (
    Reason("Z00.0", "健康体检", "general_practice"),
    Reason("O80.9", "单胎顺产", "obstetrics"),
    Reason("O82.9", "剖宫产分娩", "obstetrics"),
    Reason("Z50.1", "康复治疗", "rehabilitation"),
    Reason("Z12.1", "结肠肿瘤筛查", "gastroenterology"),
    Reason("Z12.3", "乳腺肿瘤筛查", "oncology"),
    Reason("Z25.1", "流感疫苗接种", "general_practice"),
)
#: All reasons; a lasting condition's reason has the condition's own number.
REASONS: tuple[Reason, ...] = (
    *(Reason(item.icd10, item.text, item.department) for item in CONDITIONS),
    *ACUTE,
    *SEVERE,
    *OTHER,
)
FIRST_ACUTE = len(CONDITIONS)
FIRST_SEVERE = FIRST_ACUTE + len(ACUTE)
FIRST_OTHER = FIRST_SEVERE + len(SEVERE)
CHECKUP, BIRTH, CESAREAN, REHABILITATION, COLONOSCOPY, MAMMOGRAPHY, VACCINATION = range(FIRST_OTHER, len(REASONS))

DEPARTMENTS: tuple[str, ...] = (
    "cardiology",
    "endocrinology",
    "orthopaedics",
    "obstetrics",
    "oncology",
    "gastroenterology",
    "respiratory",
    "ophthalmology",
    "general_practice",
    "emergency",
    "nephrology",
    "rehabilitation",
)
#: As the HIS writes them.
DEPARTMENT_TEXTS: tuple[str, ...] = (
    "心内科",
    "内分泌科",
    "骨科",
    "产科",
    "肿瘤科",
    "消化内科",
    "呼吸内科",
    "眼科",
    "全科",
    "急诊科",
    "肾内科",
    "康复科",
)
DEPARTMENT_OF_REASON = np.array([DEPARTMENTS.index(reason.department) for reason in REASONS], dtype=np.int64)
DOCTORS_PER_DEPARTMENT = 12

VISIT_TYPES: tuple[str, ...] = ("门诊", "住院", "急诊", "体检")
OUTPATIENT, INPATIENT, EMERGENCY, WELLNESS = range(4)


@dataclass(frozen=True)
class Operation:
    """An operation that follows a condition (or a screening, where `condition` is empty).

    `delay` and `stay` are ranges in days; a stay of (0, 0) is a day case. `recent` is the share that falls within the
    last half year where the condition is old enough, so that journeys after an operation have people in them.
    """

    code: str
    text: str
    reason: int
    condition: str = ""
    chance: float = 0.0
    ages: tuple[int, int] = (0, 200)
    delay: tuple[int, int] = (0, 1)
    stay: tuple[int, int] = (0, 0)
    women_only: bool = False
    recent: float = 0.0


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "OP-TKR",
        "全膝关节置换术",
        NUMBER["knee_osteoarthritis"],
        "knee_osteoarthritis",
        0.28,
        (60, 88),
        (150, 1500),
        (6, 11),
        recent=0.4,
    ),
    Operation(
        "OP-CAT",
        "白内障超声乳化摘除术",
        NUMBER["cataract"],
        "cataract",
        0.5,
        (55, 95),
        (30, 700),
        recent=0.15,
    ),
    Operation(
        "OP-CHO", "腹腔镜胆囊切除术", NUMBER["gallstones"], "gallstones", 0.4, (18, 80), (10, 400), (3, 6), recent=0.1
    ),
    Operation(
        "OP-PCI",
        "冠状动脉支架植入术",
        NUMBER["coronary_heart_disease"],
        "coronary_heart_disease",
        0.3,
        (40, 85),
        (0, 60),
        (4, 8),
    ),
    Operation("OP-COL", "结肠镜检查", COLONOSCOPY, "", 0.2, (45, 76)),
    Operation("OP-MAM", "乳腺X线摄影", MAMMOGRAPHY, "", 0.38, (40, 70), women_only=True),
    Operation("OP-CS", "剖宫产术", CESAREAN, stay=(4, 7)),
    Operation("OP-REH", "康复训练", REHABILITATION),
)
TKR, CATARACT_SURGERY, CHOLECYSTECTOMY, STENT, COLONOSCOPY_OP, MAMMOGRAPHY_OP, CESAREAN_OP, REHABILITATION_OP = range(8)


@dataclass(frozen=True)
class Drug:
    """What is prescribed for `conditions`; `share` of those people take it."""

    atc: str
    text: str
    conditions: tuple[str, ...]
    share: float


DRUGS: tuple[Drug, ...] = (
    Drug("C08CA01", "苯磺酸氨氯地平片", ("hypertension",), 0.55),
    Drug("C09CA01", "氯沙坦钾片", ("hypertension",), 0.45),
    Drug("A10BA02", "盐酸二甲双胍片", ("diabetes_type_2",), 0.78),
    Drug("A10AE04", "甘精胰岛素注射液", ("diabetes_type_2",), 0.22),
    Drug("C10AA05", "阿托伐他汀钙片", ("hyperlipidemia", "coronary_heart_disease", "stroke"), 0.8),
    Drug("B01AF01", "利伐沙班片", ("atrial_fibrillation",), 0.7),
    Drug("R03BA02", "布地奈德吸入剂", ("asthma", "copd"), 0.75),
)


@dataclass(frozen=True)
class Item:
    code: str
    text: str
    unit: str


LAB_ITEMS: tuple[Item, ...] = (
    Item("GHB", "糖化血红蛋白", "%"),
    Item("GLU", "空腹血糖", "mmol/L"),
    Item("LDL", "低密度脂蛋白胆固醇", "mmol/L"),
    Item("TC", "总胆固醇", "mmol/L"),
    Item("CREA", "肌酐", "umol/L"),
    Item("EGFR", "估算肾小球滤过率", "mL/min/{1.73_m2}"),
    Item("HGB", "血红蛋白", "g/L"),
)
VITAL_ITEMS: tuple[Item, ...] = (
    Item("SBP", "收缩压", "mm[Hg]"),
    Item("DBP", "舒张压", "mm[Hg]"),
    Item("HR", "心率", "/min"),
    Item("WT", "体重", "kg"),
    Item("HT", "身高", "cm"),
    Item("BMI", "体重指数", "kg/m2"),
)
READING_ITEMS: tuple[Item, ...] = (
    Item("SBP", "收缩压", "mm[Hg]"),
    Item("DBP", "舒张压", "mm[Hg]"),
    Item("HR", "心率", "/min"),
    Item("GLU", "血糖", "mmol/L"),
    Item("WT", "体重", "kg"),
)
VACCINES: tuple[Item, ...] = (
    Item("VAC-FLU", "流感疫苗", ""),
    Item("VAC-COV", "新冠疫苗", ""),
    Item("VAC-HPV", "人乳头瘤病毒疫苗", ""),
    Item("VAC-PPV", "23价肺炎球菌多糖疫苗", ""),
)
ALLERGENS: tuple[Item, ...] = (
    Item("ALG-PEN", "青霉素过敏", ""),
    Item("ALG-SUL", "磺胺类过敏", ""),
    Item("ALG-NUT", "坚果过敏", ""),
)
TOPICS: tuple[str, ...] = (
    "hypertension",
    "diabetes",
    "joint_health",
    "pregnancy",
    "heart_health",
    "cancer_screening",
    "vaccination",
    "nutrition",
    "sleep",
    "respiratory",
    "surgery",
    "eye_health",
)
TOPIC_OF_CONDITION = np.array([TOPICS.index(item.topic) for item in CONDITIONS], dtype=np.int64)
